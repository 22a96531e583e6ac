// Looks at the gateway's own pages with Chromium and axe: every page, in both languages and schemes, at 360 px and wide.
// In (arguments): folder for screenshots, base URL, that of a gateway whose cookie is for another site, user, password. Out: one JSON object, a list of what was seen.
import { join } from "node:path";
import { browser, check, inspect, press, report, seen } from "./chromium.mjs";

const [shots, base, astray, user, password] = process.argv.slice(2);

const look = (page, name) => inspect(page, name, join(shots, `${name}.png`));

async function logIn(page, secret = password, name = user) {
  await page.fill('input[name="username"]', name);
  await page.fill('input[type="password"]', secret);
  await press(page, "form button");
}

// Everything there is to see, as one person comes to see it.
async function walk(page, name) {
  await page.goto(`${base}/form`);
  check(await page.locator(".logo img").evaluate((image) => image.naturalWidth > 0), `${name}: no logo`);
  await look(page, `${name}-login`);
  await logIn(page, "not the password");
  await look(page, `${name}-refused`);
  await logIn(page);
  check(new URL(page.url()).pathname === "/form", `${name}: after login at ${page.url()}`);

  // The session is lost while a form is filled in: what was typed is sent after the next login.
  await page.fill('input[name="note"]', "안녕 & bye");
  const kept = (await page.context().cookies()).filter((cookie) => cookie.name !== "cloakroom");
  await page.context().clearCookies();
  await page.context().addCookies(kept);
  await press(page, "form button");
  await logIn(page);
  check(new URL(page.url()).pathname === "/_cloakroom/replay", `${name}: after the second login at ${page.url()}`);
  await look(page, `${name}-replay`);
  await press(page, 'form button:not([name="drop"])');
  check(page.url() === `${base}/form/sent?x=1`, `${name}: the request was sent to ${page.url()}`);
  check((await page.textContent("#note")) === "note=%EC%95%88%EB%85%95+%26+bye", `${name}: ${await page.textContent("body")}`);
  await page.goto(`${base}/_cloakroom/replay`);
  await look(page, `${name}-replay-gone`);

  await page.goto(`${base}/_cloakroom/sessions`);
  await look(page, `${name}-sessions`);
  await page.goto(`${base}/finance/`);
  await look(page, `${name}-forbidden`);
  await page.goto(`${base}/gone/`);
  await look(page, `${name}-unavailable`);
  await page.goto(`${base}/_cloakroom/nothing`);
  await look(page, `${name}-not-found`);
  await page.goto(`${base}/_cloakroom/logout`);
  await look(page, `${name}-logout`);
  await press(page, "form button");
  await look(page, `${name}-logged-out`);
}

// What comes of too many wrong passwords, and of a browser that keeps no session cookie.
async function trouble(page, name) {
  await page.goto(`${base}/_cloakroom/login`);
  for (let attempt = 0; attempt < 6; attempt += 1) await logIn(page, "not the password", `nobody-${name}`);
  await look(page, `${name}-throttled`);
  await page.goto(`${astray}/form`);
  for (let round = 0; round < 3; round += 1) await logIn(page);
  await look(page, `${name}-circle`);
  check(!(await page.locator('input[type="password"]').count()), `${name}: no end of the circle`);
}

await report(async () => {
  for (const [language, locale] of [["en", "en-US"], ["ko", "ko-KR"]]) {
    for (const scheme of ["light", "dark"]) {
      for (const [width, viewport] of [["360", { width: 360, height: 640 }], ["1280", { width: 1280, height: 800 }]]) {
        const name = `${language}-${scheme}-${width}`;
        for (const steps of [walk, trouble]) {
          const context = await browser.newContext({ locale, colorScheme: scheme, viewport, userAgent: `Chrome/156 ${name}` });
          const page = await context.newPage();
          page.setDefaultTimeout(15000);
          page.on("console", (message) => {
            if (message.type() === "error" && !/status of [45]\d\d/.test(message.text())) seen.console.push(message.text());
          });
          await steps(page, name);
          await context.close();
        }
      }
    }
  }
});
