// Server-sent events out of a byte stream, by the rules of the HTML standard. EventSource itself cannot say where to resume
// after the page was hidden, and hides why a connection failed.

export interface Frame {
  event: string;
  data: string;
  id: string | null;
}

/** What an endless line may hold before the connection is given up: no answer of the server is that long. */
const MAX_PENDING = 32 * 1024 * 1024;

export class SseParser {
  /** How long to wait before the next connection, as the server wishes, in ms. */
  retry: number | null = null;
  private readonly decoder = new TextDecoder();
  private pending = "";
  private event = "";
  private data: string[] = [];
  private id: string | null = null;

  push(bytes: Uint8Array): Frame[] {
    return this.pushText(this.decoder.decode(bytes, { stream: true }));
  }

  pushText(text: string): Frame[] {
    this.pending += text;
    if (this.pending.length > MAX_PENDING) throw new Error("a frame of the live stream has no end");
    const frames: Frame[] = [];
    for (;;) {
      const match = /\r\n|\n|\r(?!$)/.exec(this.pending);
      if (!match) return frames;
      const line = this.pending.slice(0, match.index);
      this.pending = this.pending.slice(match.index + match[0].length);
      const frame = this.line(line);
      if (frame) frames.push(frame);
    }
  }

  private line(line: string): Frame | null {
    if (line === "") {
      const frame = this.data.length > 0 ? { event: this.event || "message", data: this.data.join("\n"), id: this.id } : null;
      this.event = "";
      this.data = [];
      return frame;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id" && !value.includes("\0")) this.id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return null;
  }
}
