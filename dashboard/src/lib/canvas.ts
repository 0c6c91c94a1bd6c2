// What every canvas needs before something is drawn: the pixels of its screen, and the colours and the font of the page.

/** Reads colours like `var(--c0)` as they are where `element` stands; any other is what it says. */
export function coloursAt(element: Element): (colour: string) => string {
  const style = getComputedStyle(element);
  const known = new Map<string, string>();
  return (colour) => {
    const name = /--[\w-]+/.exec(colour)?.[0];
    if (!name) return colour;
    let value = known.get(name);
    if (value === undefined) known.set(name, (value = style.getPropertyValue(name).trim() || colour));
    return value;
  };
}

export interface Drawing {
  /** In CSS pixels, whatever the density of the screen; the text has the page's font and stands on its middle. */
  context: CanvasRenderingContext2D;
  colour: (colour: string) => string;
}

/** The canvas emptied, and `width` × `height` CSS pixels large, with its origin at (`left`, `top`); null where there is none to draw on. */
export function drawingOn(canvas: HTMLCanvasElement | null, width: number, height: number, left = 0, top = 0): Drawing | null {
  const context = canvas?.getContext("2d");
  if (!canvas || !context) return null;
  const scale = window.devicePixelRatio || 1;
  // To set its size empties a canvas, and forgets font and transformation.
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  context.setTransform(scale, 0, 0, scale, left * scale, top * scale);
  context.font = `11px ${getComputedStyle(canvas).fontFamily}`;
  context.textBaseline = "middle";
  return { context, colour: coloursAt(canvas) };
}
