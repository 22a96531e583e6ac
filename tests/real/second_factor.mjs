// Sets up and uses a second factor in Chromium, as somebody with an authenticator app does; axe looks at every page of it.
// In (arguments): folder for screenshots, base URL, password. Users `must-N` have to have one, `free-N` may; N counts from 0.
// Out: one JSON object, a list of what was seen.
import { createHmac } from "node:crypto";
import { join } from "node:path";
import { browser, check, inspect, press, report, seen } from "./chromium.mjs";

const [shots, base, password] = process.argv.slice(2);

const look = (page, name) => inspect(page, name, join(shots, `${name}.png`));

// What the app shows now for a key as the page shows it (RFC 4226 and 6238).
function code(key) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  let bits = "";
  for (const letter of key.replace(/\s/g, "")) bits += letters.indexOf(letter).toString(2).padStart(5, "0");
  const secret = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000)));
  const digest = createHmac("sha1", secret).update(counter).digest();
  return String((digest.readUInt32BE(digest[19] & 15) & 0x7fffffff) % 1000000).padStart(6, "0");
}

async function logIn(page, user) {
  await page.goto(`${base}/_cloakroom/login?return=%2Fform`);
  await page.fill('input[name="username"]', user);
  await page.fill('input[type="password"]', password);
  await press(page, "form button");
}

async function give(page, text) {
  await page.fill('input[name="code"]', text);
  await press(page, "form button");
}

async function signOut(page) {
  await page.goto(`${base}/_cloakroom/logout`);
  await press(page, "form button");
}

// Has to set it up when signing in, and signs in with it.
async function must(page, name, user) {
  await logIn(page, user);
  const picture = page.locator("svg.picture");
  const box = await picture.boundingBox();
  check(box.width >= 120 && box.width === box.height, `${name}: a picture of ${box.width} by ${box.height} cannot be scanned`);
  await look(page, `${name}-factor-begin`);
  const key = await page.textContent("p code");
  const wrong = code(key) === "000000" ? "000001" : "000000";
  await give(page, wrong);
  check(await page.isVisible('[role="alert"]'), `${name}: a wrong code is no error`);
  await look(page, `${name}-factor-begin-refused`);
  await give(page, code(key));
  const codes = await page.locator("ul.codes code").allTextContents();
  check(codes.length === 10, `${name}: ${codes.length} recovery codes at ${page.url()}: ${await page.textContent("body")}`);
  await look(page, `${name}-factor-codes`);
  await press(page, "a.button");
  check(new URL(page.url()).pathname === "/form", `${name}: after the recovery codes at ${page.url()}`);

  await signOut(page);
  await logIn(page, user);
  await look(page, `${name}-factor-asked`);
  await give(page, wrong);
  await look(page, `${name}-factor-refused`);
  await give(page, codes[0]);
  check(new URL(page.url()).pathname === "/form", `${name}: with a recovery code at ${page.url()}`);
  await page.goto(`${base}/_cloakroom/totp`);
  check((await page.textContent("main, body")).includes("9"), `${name}: nine codes are left`);
  await look(page, `${name}-factor-on`);
  await give(page, codes[1]);
  check((await page.locator("ul.codes code").count()) === 10, `${name}: no other recovery codes`);
  await look(page, `${name}-factor-other-codes`);
}

// May have one: finds it, looks, and leaves it.
async function may(page, name, user) {
  await logIn(page, user);
  await page.goto(`${base}/_cloakroom/sessions`);
  await press(page, 'a[href="/_cloakroom/totp"]');
  await look(page, `${name}-factor-offered`);
}

await report(async () => {
  let number = 0;
  for (const [language, locale] of [["en", "en-US"], ["ko", "ko-KR"]]) {
    for (const scheme of ["light", "dark"]) {
      for (const [width, viewport] of [["360", { width: 360, height: 640 }], ["1280", { width: 1280, height: 800 }]]) {
        for (const [steps, user] of [[must, `must-${number}`], [may, `free-${number}`]]) {
          const context = await browser.newContext({ locale, colorScheme: scheme, viewport });
          const page = await context.newPage();
          page.setDefaultTimeout(15000);
          page.on("console", (message) => {
            if (message.type() === "error" && !/status of [45]\d\d/.test(message.text())) seen.console.push(message.text());
          });
          await steps(page, `${language}-${scheme}-${width}`, user);
          await context.close();
        }
        number += 1;
      }
    }
  }
});
