// Drives Chromium through the gateway's pages and the application behind it, as a person would.
// In (arguments): base URL, folder for screenshots, user, password. Out: one JSON object, a list of what was seen.
// Installed packages are found through CLOAKROOM_MODULES (the folder that holds node_modules).
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [base, shots, user, password] = process.argv.slice(2);
const require = createRequire(join(process.env.CLOAKROOM_MODULES, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: process.env.CLOAKROOM_CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu"],
});
const seen = { axe: [], pages: 0, overflow: [], console: [] };

function check(condition, why) {
  if (!condition) throw new Error(why);
}

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

async function inspect(page, name) {
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
  // Evaluated by the debugger, so the page's own policy does not stand in the way.
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const finding of result.violations) seen.axe.push(`${name}: ${finding.id} (${finding.help})`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  if (wide) seen.overflow.push(name);
  seen.pages += 1;
}

async function logIn(page, secret = password) {
  await page.fill('input[type="text"], input[name="username"]', user);
  await page.fill('input[type="password"]', secret);
  await Promise.all([page.waitForNavigation(), page.click('form button:not([type="button"])')]);
}

try {
  // The pages: each language, scheme and width; first empty, then with a refusal on it.
  for (const [language, locale] of [["en", "en-US"], ["ko", "ko-KR"]]) {
    for (const scheme of ["light", "dark"]) {
      for (const [width, viewport] of [["360", { width: 360, height: 640 }], ["desktop", { width: 1280, height: 800 }]]) {
        await visit({ locale, colorScheme: scheme, viewport }, async (page) => {
          await page.goto(`${base}/`);
          check((await page.getAttribute("html", "lang"))?.startsWith(language), `no page in ${language}`);
          await inspect(page, `login-${language}-${scheme}-${width}`);
        });
      }
    }
  }
  await visit({ locale: "en-US", viewport: { width: 360, height: 640 } }, async (page) => {
    await page.goto(`${base}/`);
    await logIn(page, "not the password");
    check(new URL(page.url()).pathname.startsWith("/_cloakroom/"), "a wrong password led past the login page");
    await inspect(page, "login-refused");
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
      if (javaScriptEnabled) await inspect(page, "sessions");
      await page.goto(`${base}/_cloakroom/logout`);
      if (javaScriptEnabled) await inspect(page, "logout");
      await Promise.all([page.waitForNavigation(), page.click('form button:not([type="button"])')]);
      if (javaScriptEnabled) await inspect(page, "logged-out");
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
  console.log(JSON.stringify(seen));
} catch (error) {
  console.log(JSON.stringify({ ...seen, error: String(error.message ?? error).slice(0, 600) }));
} finally {
  await browser.close();
}
