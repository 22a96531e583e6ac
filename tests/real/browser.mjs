// Drives Chromium through the gateway's pages and the application behind it, as a person would.
// In (arguments): folder for screenshots, base URL, user, password. Out: one JSON object, a list of what was seen.
import { join } from "node:path";
import { browser, check, inspect, report, seen } from "./chromium.mjs";

const [shots, base, user, password] = process.argv.slice(2);

async function visit(options, steps) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of 40[01]/.test(message.text())) seen.console.push(message.text());
  });
  try {
    return await steps(page, context);
  } finally {
    await context.close();
  }
}

const look = (page, name) => inspect(page, name, join(shots, `${name}.png`));

async function logIn(page, secret = password) {
  await page.fill('input[type="text"], input[name="username"]', user);
  await page.fill('input[type="password"]', secret);
  await Promise.all([page.waitForNavigation(), page.click('form button:not([type="button"])')]);
}

await report(async () => {
  // The pages: each language, scheme and width; first empty, then with a refusal on it.
  for (const [language, locale] of [["en", "en-US"], ["ko", "ko-KR"]]) {
    for (const scheme of ["light", "dark"]) {
      for (const [width, viewport] of [["360", { width: 360, height: 640 }], ["desktop", { width: 1280, height: 800 }]]) {
        await visit({ locale, colorScheme: scheme, viewport }, async (page) => {
          await page.goto(`${base}/`);
          check((await page.getAttribute("html", "lang"))?.startsWith(language), `no page in ${language}`);
          await look(page, `login-${language}-${scheme}-${width}`);
        });
      }
    }
  }
  await visit({ locale: "en-US", viewport: { width: 360, height: 640 } }, async (page) => {
    await page.goto(`${base}/`);
    await logIn(page, "not the password");
    check(new URL(page.url()).pathname.startsWith("/_cloakroom/"), "a wrong password led past the login page");
    await look(page, "login-refused");
  });

  // A visit from beginning to end, with script and without.
  for (const javaScriptEnabled of [true, false]) {
    const name = javaScriptEnabled ? "script" : "noscript";
    await visit({ javaScriptEnabled, locale: "ko-KR" }, async (page, context) => {
      await page.goto(`${base}/?asked=%ED%95%9C`);
      await logIn(page);
      check(page.url() === `${base}/?asked=%ED%95%9C`, `${name}: after login at ${page.url()}`);
      const greeting = await page.textContent("h1");
      check(greeting === `Hello, ${user}`, `${name}: the application says ${greeting}`);
      const cookie = (await context.cookies()).find((cookie) => cookie.name === "__Host-cloakroom");
      check(cookie, `${name}: no __Host-cloakroom cookie`);
      check(cookie.httpOnly && cookie.secure && cookie.sameSite === "Lax" && cookie.expires === -1, `${name}: ${JSON.stringify(cookie)}`);
      await page.fill('input[name="note"]', `${name} 안녕 & bye`);
      await Promise.all([page.waitForNavigation(), page.click("button")]);
      check((await page.textContent("#note")) === `${name} 안녕 & bye`, `${name}: the form did not arrive`);
      await page.goto(`${base}/_cloakroom/sessions`);
      check((await page.locator(".sessions .mark").count()) === 1, `${name}: none of the sessions is this one`);
      if (javaScriptEnabled) await look(page, "sessions");
      await page.goto(`${base}/_cloakroom/logout`);
      if (javaScriptEnabled) await look(page, "logout");
      await Promise.all([page.waitForNavigation(), page.click('form button:not([type="button"])')]);
      if (javaScriptEnabled) await look(page, "logged-out");
      await page.goto(`${base}/`);
      check(new URL(page.url()).pathname.startsWith("/_cloakroom/"), `${name}: after logout at ${page.url()}`);
      check((await page.content()).includes('type="password"'), `${name}: after logout no login page`);
    });
  }

  // "Keep me signed in" makes the cookie persistent.
  await visit({ locale: "en-US" }, async (page, context) => {
    await page.goto(`${base}/`);
    await page.check('input[name="remember"]');
    await logIn(page);
    const cookie = (await context.cookies()).find((cookie) => cookie.name === "__Host-cloakroom");
    const days = (cookie.expires - Date.now() / 1000) / 86400;
    check(days > 29 && days < 31, `a remembered login lasts ${days} days`);
  });
});
