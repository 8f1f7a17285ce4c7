// The frame around the search: theme, menus, help, views of a narrow screen, signing in.

import { $, toast } from "./dom.js";
import { onSignIn, session } from "./api.js";

export function init({ onTheme, onExport, onView }) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const theme = (name) => { document.documentElement.dataset.theme = name; onTheme(); };
  theme(localStorage.getItem("theme") ?? (system.matches ? "dark" : "light"));
  system.addEventListener("change", () => { if (!localStorage.getItem("theme")) theme(system.matches ? "dark" : "light"); });
  $("theme").addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", next);
    theme(next);
  });
  $("copy-link").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      toast("Link copied");
    } catch {
      toast("The link is in the address bar");
    }
  });
  $("help-open").addEventListener("click", () => $("help").showModal());
  addEventListener("keydown", (event) => {
    if (event.key === "?" && !event.target.closest("input, textarea, select, dialog")) $("help").showModal();
  });
  menu(onExport);
  $("mini").addEventListener("click", () => view("panel"));
  for (const tab of $("tabs").querySelectorAll("button")) tab.addEventListener("click", () => { view(tab.dataset.view); onView(); });
}

export function view(name) {
  $("work").dataset.view = name;
  for (const tab of $("tabs").querySelectorAll("button")) {
    if (tab.dataset.view === name) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
}

function menu(onExport) {
  const button = $("export"), list = $("export-menu");
  const items = [...list.querySelectorAll("button")];
  const open = (on) => { list.hidden = !on; button.setAttribute("aria-expanded", on); if (on) items[0].focus(); };
  button.addEventListener("click", (event) => { event.stopPropagation(); open(list.hidden); });
  addEventListener("click", (event) => { if (!list.contains(event.target)) open(false); });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus(); }
    if (event.key === "Escape") { open(false); button.focus(); }
  });
  for (const item of items) item.addEventListener("click", () => { open(false); button.focus(); onExport(item.dataset.format); });
}

let asking = null;
onSignIn(() => {
  asking ??= new Promise((resolve) => {
    const dialog = $("sign-in"), form = $("sign-in-form"), error = $("sign-in-error");
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await session($("token").value);
        dialog.close();
        asking = null;
        resolve();
      } catch (problem) {
        error.textContent = problem.message;
        error.hidden = false;
      }
    });
    dialog.showModal();
  });
  return asking;
});
