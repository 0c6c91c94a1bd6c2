// Text from anybody. Markup does no harm, since nothing here is ever taken for markup; but characters that are not to be seen can make a
// text look like another one. They are written as what they are.

// Controls but for tab and line ends, and what turns the direction of text round.
// oxlint-disable-next-line no-control-regex
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** The same in JSON, where they may be escaped. */
// oxlint-disable-next-line no-control-regex
const HIDDEN_IN_JSON = /\\u(?:00[01]|007f|00[89]|20[02346])|[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/i;

export const visible = (text: string) =>
  text.replace(HIDDEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** JSON in which every text is visible. Looking at each value costs time, so it is only done where there is something to find. */
export function parseVisible(json: string): unknown {
  if (!HIDDEN_IN_JSON.test(json)) return JSON.parse(json);
  return JSON.parse(json, (_, value: unknown) => (typeof value === "string" ? visible(value) : value));
}
