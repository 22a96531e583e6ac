// Looks at the demo's pages in Chromium, with script and without, and has axe look at them too.
// In (arguments): folder for screenshots, base URL, user, password. Out: one JSON object, a list of what was seen.
import { join } from "node:path";
import { browser, check, inspect, press, report, seen } from "./chromium.mjs";

const [shots, base, user, password] = process.argv.slice(2);

const look = (page, name) => inspect(page, name, join(shots, `demo-${name}.png`));

async function logIn(page) {
  await page.fill('input[name="username"]', user);
  await page.fill('input[type="password"]', password);
  await press(page, 'form button:not([type="button"])');
}

// Everything a person sees, in one language, scheme and width.
async function tour(locale, colorScheme, viewport) {
  const context = await browser.newContext({ locale, colorScheme, viewport });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of 404/.test(message.text())) seen.console.push(message.text());
  });
  const name = (where) => `${where}-${locale.slice(0, 2)}-${colorScheme}-${viewport.width}`;
  await page.goto(`${base}/shop/`);
  check((await page.getAttribute("html", "lang")) === locale.slice(0, 2), `no page in ${locale}`);
  await press(page, 'button[value="cart-tea"]');
  check(await page.isVisible('[role="status"]'), "no message after the form");
  await look(page, name("shop"));
  await page.goto(`${base}/`);
  await logIn(page);
  check(await page.isVisible("dialog"), "nobody is welcomed");
  await look(page, name("home"));
  await page.click("dialog button");
  check(!(await page.isVisible("dialog")), "the dialog does not close");
  // A scheme that was chosen goes before that of the system.
  await page.goto(`${base}/preferences/`);
  const other = colorScheme === "light" ? "dark" : "light";
  await page.check(`input[value="${other}"]`);
  await press(page, "main form button");
  const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check((paper === "rgb(23, 24, 27)") === (other === "dark"), `${other} was chosen, and the page is ${paper}`);
  await look(page, name("preferences"));
  for (const path of ["account/", "public/", "staff/", "websocket", "ticks", "nowhere"]) {
    await page.goto(`${base}/${path}`);
    await look(page, name(path.replace("/", "")));
  }
  // The same note in two tabs.
  await page.goto(`${base}/shop/`);
  const tab = await context.newPage();
  await tab.goto(`${base}/shop/`);
  await page.fill("textarea", "하나");
  await press(page, 'form[action="/shop/note"] button');
  await tab.fill("textarea", "둘");
  await press(tab, 'form[action="/shop/note"] button');
  check(await tab.isVisible('[role="alert"]'), "the late note was not refused");
  check((await tab.inputValue("textarea")) === "하나", "the late note was kept");
  await look(tab, name("late"));
  await page.goto(`${base}/account/`);
  await press(page, 'button[value="this"]');
  check((await page.getAttribute("html", "data-theme")) === other, "the theme did not outlive signing out");
  await look(page, name("signed-out"));
  await context.close();
}

// Without script: the forms do all.
async function plain() {
  const context = await browser.newContext({ javaScriptEnabled: false, locale: "en-US" });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  await page.goto(`${base}/shop/`);
  await press(page, 'button[value="midnight"]');
  check(!(await page.isVisible(".notice")), "the notice was not hidden");
  await page.goto(`${base}/`);
  await logIn(page);
  check(!(await page.isVisible(".notice")), "the notice is back after login");
  await page.click("dialog button");
  check(!(await page.isVisible("dialog")), "the dialog does not close without script");
  await context.close();
}

await report(async () => {
  for (const locale of ["en-US", "ko-KR"]) {
    for (const scheme of ["light", "dark"]) {
      for (const viewport of [{ width: 360, height: 640 }, { width: 1280, height: 800 }]) {
        await tour(locale, scheme, viewport);
      }
    }
  }
  await plain();
});
