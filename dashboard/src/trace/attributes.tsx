// Attributes are text from anybody: shown as text, cut where they are long, never as markup.
import { Link } from "@tanstack/react-router";
import { Filter } from "lucide-react";
import { Fragment, useState } from "react";
import { formatCount } from "../lib/format";
import { rangeWith } from "../lib/query-state";
import { CopyButton } from "../ui/basics";

/** Characters of a value that are shown at once: some are prompts of megabytes. */
const SHOWN = 600;
const MOST = 200_000;

function textOf(value: unknown): string {
  if (typeof value === "string") return pretty(value);
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value, null, 2) : String(value);
}

/** JSON in a string is easier to read with its lines. */
function pretty(text: string): string {
  if (!/^\s*[[{]/.test(text) || text.length > MOST) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export function Value({ value }: { value: unknown }) {
  const [whole, setWhole] = useState(false);
  const text = textOf(value);
  const long = text.length > SHOWN;
  const look = typeof value === "number" ? "text-run" : typeof value === "boolean" ? "text-dead" : "text-text";
  if (text === "") return <span className="text-text-3 italic">empty</span>;
  return (
    <>
      <span className={`mono [overflow-wrap:anywhere] whitespace-pre-wrap ${look}`}>{whole ? text.slice(0, MOST) : text.slice(0, SHOWN)}</span>
      {long && (
        <button type="button" className="link ml-1 text-xs" onClick={() => setWhole(!whole)}>
          {whole ? "less" : `… all ${formatCount(text.length)} characters`}
        </button>
      )}
      {whole && text.length > MOST && <span className="text-xs text-warn"> cut off here; copy has all of it</span>}
    </>
  );
}

/** A dotted name may break after its dots. */
function Breakable({ text }: { text: string }) {
  return text.split(/(?<=[._])/).map((part, at) => (
    // The parts of one text have no other name than their place.
    // oxlint-disable-next-line react/no-array-index-key
    <Fragment key={at}>
      {part}
      <wbr />
    </Fragment>
  ));
}

interface AttributesProps {
  values: Record<string, unknown>;
  /** Whether one can search traces for a value. */
  searchable?: boolean;
  empty?: string;
}

export function Attributes({ values, searchable, empty = "None." }: AttributesProps) {
  const [filter, setFilter] = useState("");
  const entries = Object.entries(values).sort(([a], [b]) => a.localeCompare(b));
  if (entries.length === 0) return <p className="px-4 py-2 text-xs text-text-3">{empty}</p>;
  const words = filter.toLowerCase();
  const shown = words === "" ? entries : entries.filter(([key, value]) => `${key} ${textOf(value)}`.toLowerCase().includes(words));
  return (
    <>
      {entries.length > 12 && (
        <div className="px-4 pt-2">
          <input
            value={filter}
            onChange={(event) => setFilter(event.target.value)}
            placeholder="Filter"
            aria-label="Filter attributes"
            className="h-7 w-full rounded-md border border-line bg-bg px-2 text-xs"
          />
        </div>
      )}
      <dl className="px-2 py-1.5">
        {shown.map(([key, value]) => (
          <div key={key} className="group relative grid grid-cols-[minmax(96px,38%)_1fr] gap-3 rounded-md px-2 py-1 hover:bg-hover">
            <dt className="mono text-[11.5px]! [overflow-wrap:anywhere] text-text-3">
              <Breakable text={key} />
            </dt>
            <dd className="min-w-0">
              <Value value={value} />
              <span className="absolute top-0.5 right-1 flex rounded-md bg-surface opacity-0 group-focus-within:opacity-100 group-hover:opacity-100">
                {searchable && typeof value !== "object" && String(value).length < 200 && (
                  <Link
                    to="/traces"
                    search={rangeWith({ tags: JSON.stringify({ [key]: String(value) }) })}
                    title="Traces with this value"
                    aria-label={`Traces with ${key} of this value`}
                    className="flex size-6 items-center justify-center rounded-md text-text-2 hover:bg-raised"
                  >
                    <Filter size={13} aria-hidden />
                  </Link>
                )}
                <CopyButton text={typeof value === "string" ? value : textOf(value)} name={`Copy ${key}`} />
              </span>
            </dd>
          </div>
        ))}
      </dl>
      {shown.length === 0 && <p className="px-4 pb-2 text-xs text-text-3">None of {entries.length} has these characters.</p>}
    </>
  );
}
