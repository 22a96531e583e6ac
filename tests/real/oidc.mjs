// Signs people in and out at a real OpenID provider in Chromium, following its pages and ours with cookies as a browser keeps them.
// In (arguments): folder for screenshots, base URL of the gateway, base URL of the provider. Any name and password sign in there.
// Out: one JSON object, a list of what was seen.
import { join } from "node:path";
import { browser, check, inspect, press, report, seen } from "./chromium.mjs";

const [shots, base, provider] = process.argv.slice(2);

const look = (page, name) => inspect(page, name, join(shots, `oidc-${name}.png`));

async function person(steps) {
  const context = await browser.newContext({ locale: "en-US" });
  context.setDefaultTimeout(15000);
  context.on("page", (page) =>
    page.on("console", (message) => {
      // The provider's pages are its own business.
      if (message.type() === "error" && message.location().url.startsWith(base) && !/status of [45]\d\d/.test(message.text())) {
        seen.console.push(message.text());
      }
    }),
  );
  await steps(await context.newPage(), context);
  await context.close();
}

// Both live at localhost, so a browser sends each the other's cookies: those of the provider begin with a line.
const ours = async (context) => (await context.cookies(base)).filter((cookie) => !cookie.name.startsWith("_"));
const names = (cookies) => cookies.map((cookie) => cookie.name).join(", ");
const at = (page, where) => page.url().startsWith(where);
const text = (page) => page.textContent("body");
const user = async (context) => (await (await context.request.get(`${base}/_cloakroom/session`)).json()).user;

async function toProvider(page, target) {
  await page.goto(`${base}${target}`);
  check(at(page, `${provider}/interaction/`), `${target} led to ${page.url()}`);
}

// Signs in there, and consents where that is asked.
async function signIn(page, name) {
  await page.fill('input[name="login"]', name);
  await page.fill('input[name="password"]', "any");
  await press(page, 'button[type="submit"]');
  if (at(page, `${provider}/interaction/`)) await press(page, 'button[type="submit"]');
}

async function arrives(page, name, target) {
  await toProvider(page, target);
  await signIn(page, name);
  check(page.url() === `${base}${target}`, `${name} arrived at ${page.url()}: ${await text(page)}`);
  check((await text(page)).trim() === name, `the application says ${await text(page)}, not ${name}`);
}

// In and out: here, and with that there.
async function inAndOut(page, context) {
  await arrives(page, "alice", "/reports?a=%ED%95%9C");
  const cookies = await ours(context);
  check(cookies.length === 1, `of the login is left: ${names(cookies)}`);
  await page.goto(`${base}/_cloakroom/logout`);
  await press(page, "form button");
  check(at(page, `${provider}/session/end`), `signing out led to ${page.url()}`);
  await press(page, 'button[value="yes"]');
  check(at(page, `${base}/_cloakroom/logout`), `after signing out there at ${page.url()}`);
  await look(page, "signed-out");
  await page.goto(`${base}/`);
  check(at(page, `${provider}/interaction/`) && (await page.isVisible('input[name="password"]')), `in again without a password at ${page.url()}`);
}

// The provider signs with another key: whoever comes next makes the gateway ask for it.
async function otherKeys(page, context) {
  const rotated = await context.request.post(`${provider}/test/rotate`);
  check(rotated.ok(), `the keys were not changed: ${rotated.status()}`);
  await arrives(page, "bob", "/");
}

// Signed in, does not consent, and is told; then thinks better of it.
async function refuses(page, context) {
  await toProvider(page, "/");
  await press(page, 'a[href$="/abort"]');
  check(at(page, `${base}/_cloakroom/callback/`) && /refused there/.test(await text(page)), `at ${page.url()}: ${await text(page)}`);
  check((await user(context)) === null, "in, though it was refused");
  await look(page, "refused");
  await press(page, "a.back, a.button");
  check(at(page, `${provider}/interaction/`), `the way to try again led to ${page.url()}`);
  await signIn(page, "carol");
  check(page.url() === `${base}/` && (await user(context)) === "carol", `carol arrived at ${page.url()}`);
}

// Out there: the provider tells the gateway, and a page that is open learns it.
async function outThere(page, context) {
  await arrives(page, "dave", "/");
  const there = await context.newPage();
  await there.goto(`${provider}/session/end`);
  await press(there, 'button[value="yes"]');
  for (let round = 0; (await user(context)) !== null; round += 1) {
    check(round < 50, "the provider has signed him out, and he is still in");
    await page.waitForTimeout(100);
  }
  await page.goto(`${base}/`);
  check(at(page, `${base}/_cloakroom/login`), `and leads straight back in: ${page.url()}`);
  await look(page, "signed-out-there");
}

// Ten tabs want to log in at the same time: all arrive where they wanted to go.
async function tenTabs(first, context) {
  const tabs = [first, ...(await Promise.all(Array.from({ length: 9 }, () => context.newPage())))];
  await Promise.all(tabs.map((tab, number) => toProvider(tab, `/tab/${number}`)));
  const waiting = await ours(context);
  check(waiting.length === 10 && waiting.every((cookie) => cookie.value.length < 200), `${waiting.length} cookies: ${names(waiting)}`);
  for (const [number, tab] of tabs.entries()) {
    await tab.bringToFront();
    await signIn(tab, "erin");
    check(tab.url() === `${base}/tab/${number}`, `tab ${number} arrived at ${tab.url()}: ${await text(tab)}`);
  }
  const left = await ours(context);
  check(left.length === 1, `of ten logins is left: ${names(left)}`);
}

await report(async () => {
  for (const steps of [inAndOut, otherKeys, refuses, outThere, tenTabs]) await person(steps);
});
