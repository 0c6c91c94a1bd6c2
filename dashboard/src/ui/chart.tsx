// A time series. What has no sample is a gap in the line and not a zero.
import { useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { coloursAt } from "../lib/canvas";
import { usePrefs, useShownTheme } from "../lib/prefs";
import { Swatch } from "./basics";

export interface Line {
  name: string;
  /** A CSS variable: var(--c0) */
  colour: string;
  values: (number | null)[];
  bars?: boolean;
}

interface ChartProps {
  title: string;
  at: string[];
  lines: Line[];
  format: (value: number) => string;
  onRange?: (from: number, to: number) => void;
  height?: number;
}

const hasData = (lines: Line[]) => lines.some((line) => line.values.some((value) => value !== null));

export function Chart({ title, at, lines, format, onRange, height = 168 }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const theme = useShownTheme();
  const { zone } = usePrefs();
  const [index, setIndex] = useState<number | null>(null);
  const empty = at.length === 0 || !hasData(lines);
  useEffect(() => {
    const element = box.current;
    if (!element || empty) return undefined;
    const colour = coloursAt(element);
    const axis = { stroke: colour("--text-3"), font: `11px ${getComputedStyle(element).fontFamily}`, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const bars = uPlot.paths.bars?.({ size: [0.7, 24] });
    const options: uPlot.Options = {
      width: element.clientWidth,
      height,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: onRange !== undefined, y: false, setScale: false } },
      tzDate: zone === "utc" ? (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC") : undefined,
      axes: [
        { ...axis, size: 26, values: (_, seconds) => seconds.map((one) => clock(one, zone)) },
        { ...axis, size: 62, values: (_, values) => values.map((value) => (value === null ? "" : format(value))) },
      ],
      scales: { y: { range: (_, __, high) => [0, Math.max(high * 1.1, 1e-9)] } },
      series: [
        {},
        ...lines.map((line): uPlot.Series => ({
          stroke: colour(line.colour),
          width: 1.6,
          fill: line.bars ? colour(line.colour) : undefined,
          paths: line.bars ? bars : undefined,
          // A sample between two gaps would be no line at all.
          points: { show: !line.bars, size: 4 },
          spanGaps: false,
        })),
      ],
      hooks: {
        setCursor: [(plot) => setIndex(plot.cursor.idx ?? null)],
        setSelect: [
          (plot) => {
            if (plot.select.width < 6) return;
            onRange?.(plot.posToVal(plot.select.left, "x") * 1e3, plot.posToVal(plot.select.left + plot.select.width, "x") * 1e3);
          },
        ],
      },
    };
    const data = [at.map((time) => Date.parse(time) / 1e3), ...lines.map((line) => line.values)] as uPlot.AlignedData;
    const plot = new uPlot(options, data, element);
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
    // The theme is not read here, but what is drawn has its colours.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [at, lines, format, onRange, height, theme, zone, empty]);

  const shown = (line: Line) => (index === null ? undefined : line.values[index]);
  return (
    <section className="card min-w-0 p-3" aria-label={title}>
      <header className="flex min-h-6 flex-wrap items-center gap-x-4 gap-y-1 px-1">
        <h2 className="text-xs font-semibold">{title}</h2>
        <ul className="ml-auto flex flex-wrap gap-x-3 text-2xs text-text-2">
          {lines.map((line) => (
            <li key={line.name} className="flex items-center gap-1.5">
              <Swatch colour={line.colour} />
              {line.name}
              {index !== null && <span className="num font-medium text-text">{typeof shown(line) === "number" ? format(shown(line) as number) : "–"}</span>}
            </li>
          ))}
        </ul>
      </header>
      {empty ? (
        <div className="flex items-center justify-center text-xs text-text-3" style={{ height }}>
          no data in this time
        </div>
      ) : (
        <div ref={box} role="img" aria-label={`${title}: ${summary(lines, format)}`} style={{ height }} />
      )}
    </section>
  );
}

const two = (value: number) => String(value).padStart(2, "0");
function clock(seconds: number, zone: string): string {
  const time = new Date(seconds * 1e3);
  const [month, day, hours, minutes] =
    zone === "utc"
      ? [time.getUTCMonth(), time.getUTCDate(), time.getUTCHours(), time.getUTCMinutes()]
      : [time.getMonth(), time.getDate(), time.getHours(), time.getMinutes()];
  return hours === 0 && minutes === 0 ? `${two(month + 1)}-${two(day)}` : `${two(hours)}:${two(minutes)}`;
}

/** What the picture says, in words: the last value and the highest. */
function summary(lines: Line[], format: (value: number) => string): string {
  return lines
    .map((line) => {
      const known = line.values.filter((value) => value !== null);
      return known.length === 0 ? `${line.name} no data` : `${line.name} last ${format(known[known.length - 1])}, at most ${format(Math.max(...known))}`;
    })
    .join("; ");
}
