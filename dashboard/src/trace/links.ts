// Links to other tools. Their form is a template of the server's settings; only http(s) is followed, whatever stands there.

export interface LinkValues {
  trace_id: string;
  span_id?: string;
  service?: string;
  start_ms?: number;
  end_ms?: number;
}

export function fillTemplate(template: string | null | undefined, values: LinkValues): string | null {
  if (!template) return null;
  const filled = template.replace(/\{(trace_id|span_id|service|start_ms|end_ms)\}/g, (_, key: keyof LinkValues) => {
    const value = values[key];
    if (value === undefined) return "";
    return encodeURIComponent(typeof value === "number" ? Math.floor(value) : value);
  });
  try {
    const url = new URL(filled);
    return url.protocol === "http:" || url.protocol === "https:" ? url.toString() : null;
  } catch {
    return null;
  }
}
