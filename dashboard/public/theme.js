// The saved theme, before the first paint; without one the system's is taken (see src/lib/prefs.ts).
try {
  const theme = JSON.parse(localStorage.getItem("loom.prefs") ?? "{}").theme;
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // No storage, or something foreign in it: the system's theme it is.
}
