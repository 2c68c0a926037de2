// Asks every two seconds whether anything changed, and if so draws the page anew.
"use strict";
let seen = null;

async function refresh() {
  try {
    const overview = await (await fetch("/v1/overview", { cache: "no-store" })).text();
    if (seen !== null && overview !== seen) {
      const page = await (await fetch("/", { cache: "no-store" })).text();
      const fresh = new DOMParser().parseFromString(page, "text/html").querySelector("main");
      document.querySelector("main").replaceWith(fresh);
    }
    seen = overview;
    document.body.classList.remove("lost");
  } catch {
    document.body.classList.add("lost");
  }
}

refresh();
setInterval(refresh, 2000);
