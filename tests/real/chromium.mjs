// Chromium and axe, as every program beside this one uses them: one browser, and one list of what was seen.
// In: CLOAKROOM_CHROMIUM (the browser) and CLOAKROOM_MODULES (the folder that holds node_modules). Out: one JSON object on standard output.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.env.CLOAKROOM_MODULES, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const browser = await chromium.launch({
  executablePath: process.env.CLOAKROOM_CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu"],
});
export const seen = { axe: [], pages: 0, overflow: [], console: [] };

export function check(condition, why) {
  if (!condition) throw new Error(why);
}

// Keeps a screenshot as `file`, has axe look at the page, and notes whether it is wider than its window.
export async function inspect(page, name, file) {
  await page.screenshot({ path: file, fullPage: true });
  // Evaluated by the debugger, so the page's own policy does not stand in the way.
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const finding of result.violations) {
    seen.axe.push(`${name}: ${finding.id} (${finding.help}) ${finding.nodes[0].html.slice(0, 120)}`);
  }
  if (await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)) seen.overflow.push(name);
  seen.pages += 1;
}

export async function press(page, selector) {
  await Promise.all([page.waitForNavigation(), page.click(selector)]);
}

// Takes these steps and tells what was seen, also when one of them fails.
export async function report(steps) {
  try {
    await steps();
    console.log(JSON.stringify(seen));
  } catch (error) {
    console.log(JSON.stringify({ ...seen, error: String(error.message ?? error).slice(0, 600) }));
  } finally {
    await browser.close();
  }
}
