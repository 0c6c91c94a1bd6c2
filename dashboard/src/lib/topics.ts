// Topics and the patterns that want them, by the rules of the bus: segments with dots between, `*` is one, a last `>` one or more.

export function wants(pattern: string, topic: string): boolean {
  const [wanted, given] = [pattern.split("."), topic.split(".")];
  for (let at = 0; at < wanted.length; at += 1) {
    if (wanted[at] === ">" && at === wanted.length - 1) return given.length > at;
    if (at >= given.length || (wanted[at] !== "*" && wanted[at] !== given[at])) return false;
  }
  return wanted.length === given.length;
}

/** The stream that keeps a topic; null: none does. */
export function streamOf(topic: string, streams: { name: string; topics: string[] }[] | undefined): string | null {
  return streams?.find((stream) => stream.topics.some((pattern) => wants(pattern, topic)))?.name ?? null;
}
