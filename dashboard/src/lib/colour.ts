// One colour for one name, the same on every page: the slot that the name's hash prefers, or the next free one, and it is
// remembered. So a few agents never share a colour, and two people see nearly the same picture.

/** Slots of the palette in styles.css: --c0 … --c11. */
export const SLOTS = 12;
const STORED = "loom.colours";
const MAX_REMEMBERED = 200;

/** FNV-1a over UTF-16 units. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    value ^= text.charCodeAt(at);
    value = Math.imul(value, 0x01000193);
  }
  return value >>> 0;
}

export class Colours {
  private readonly slots = new Map<string, number>();
  private readonly storage: Storage | null;

  constructor(storage: Storage | null) {
    this.storage = storage;
    try {
      const stored: unknown = JSON.parse(storage?.getItem(STORED) ?? "{}");
      if (typeof stored !== "object" || stored === null) return;
      for (const [name, slot] of Object.entries(stored)) {
        if (Number.isInteger(slot) && slot >= 0 && slot < SLOTS) this.slots.set(name, slot);
      }
    } catch {
      // Foreign content: begin anew.
    }
  }

  slot(name: string): number {
    const known = this.slots.get(name);
    if (known !== undefined) return known;
    const preferred = hash(name) % SLOTS;
    if (this.slots.size >= MAX_REMEMBERED) return preferred;
    const taken = new Set(this.slots.values());
    let slot = preferred;
    for (let step = 0; step < SLOTS; step += 1) {
      const candidate = (preferred + step) % SLOTS;
      if (!taken.has(candidate)) {
        slot = candidate;
        break;
      }
    }
    this.slots.set(name, slot);
    try {
      this.storage?.setItem(STORED, JSON.stringify(Object.fromEntries(this.slots)));
    } catch {
      // Full or forbidden: the colours hold as long as the page does.
    }
    return slot;
  }
}

let colours: Colours | null = null;

/** The CSS variable of a name's colour. The bus itself is grey, so that the agents stand out of it. */
export function colourOf(name: string): string {
  const agent = name.startsWith("agent-") ? name.slice(6) : name;
  if (agent === "loom" || agent === "") return "var(--c-bus)";
  colours ??= new Colours(typeof localStorage === "undefined" ? null : localStorage);
  return `var(--c${colours.slot(agent)})`;
}
