// The browser of the tests: Debian's chromium, or what LOOM_CHROMIUM names. Nothing is downloaded.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = [process.env.LOOM_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export function browser() {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error("no chromium: apt install chromium, or name one in LOOM_CHROMIUM");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** A page that tells what it complains about, and where it wanted to go outside its own origin. */
export async function watchedPage(context, origin) {
  const page = await context.newPage();
  const complaints = [];
  const foreign = [];
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !url.startsWith("data:") && !url.startsWith("blob:")) foreign.push(url);
  });
  return Object.assign(page, { complaints, foreign });
}
