import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { api } from "../api/client";
import { type Difference, differences } from "../trace/compare";
import { formatCount, formatNs, shortId } from "../lib/format";
import { Badge, Button, PageHead, cx } from "../ui/basics";
import { Failure, Loading } from "../ui/states";

const TONE = { same: null, slower: ["warn", "slower"], faster: ["ok", "faster"], only_a: ["bad", "only in A"], only_b: ["run", "only in B"], count: ["warn", "another count"] } as const;

/** Two traces by their structure: what has the same path of names is the same node. */
export function ComparePage({ a, b }: { a: string; b: string }) {
  const query = useQuery({ queryKey: ["compare", a, b], queryFn: ({ signal }) => api.compare(a, b, signal) });
  const [changed, setChanged] = useState(false);
  const rows = useMemo(() => (query.data ? differences(query.data) : []), [query.data]);
  if (query.isPending) return <Loading what="both traces" />;
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  const shown = changed ? rows.filter((row) => row.kind !== "same") : rows;
  const longest = Math.max(1, ...rows.map((row) => Math.max(row.a?.ns ?? 0, row.b?.ns ?? 0)));
  const different = rows.filter((row) => row.kind !== "same").length;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Compare" sub={`${formatCount(rows.length)} steps, ${formatCount(different)} of them differ`}>
        {query.data.truncated && <Badge tone="warn" title="The steps near the roots are compared; the traces have more.">cut off</Badge>}
        <Button pressed={changed} onClick={() => setChanged(!changed)}>
          Only what differs
        </Button>
        <Link to="/traces/$traceId" params={{ traceId: `${b}...${a}` }} className="link text-xs">
          swap
        </Link>
      </PageHead>
      <div className="min-h-0 flex-1 overflow-auto px-5 pb-5" tabIndex={0} role="region" aria-label="Differences">
        <div className="card">
          <table className="grid-table">
            <thead>
              <tr>
                <th scope="col">Step</th>
                <th scope="col">Change</th>
                <th scope="col" className="right">
                  A · <TraceName id={a} />
                </th>
                <th scope="col" className="right">
                  B · <TraceName id={b} />
                </th>
                <th scope="col" className="right">Δ</th>
                <th scope="col" className="w-[200px]">A above B</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((row) => (
                <Step key={row.key} row={row} longest={longest} />
              ))}
            </tbody>
          </table>
        </div>
      </div>
    </div>
  );
}

function TraceName({ id }: { id: string }) {
  return (
    <Link to="/traces/$traceId" params={{ traceId: id }} className="link mono">
      {shortId(id)}
    </Link>
  );
}

function Step({ row, longest }: { row: Difference; longest: number }) {
  const tone = TONE[row.kind];
  const cell = (side: Difference["a"]) => (side ? `${formatNs(side.ns)}${side.count > 1 ? ` ×${formatCount(side.count)}` : ""}` : "–");
  const bar = (ns: number | undefined, colour: string) => (
    <span className="block h-[5px] rounded-full" style={{ width: `${((ns ?? 0) / longest) * 100}%`, minWidth: ns ? 2 : 0, background: colour }} />
  );
  return (
    <tr>
      <td className="max-w-[520px]!">
        <span className={cx("truncate", row.a === null || row.b === null ? "font-medium" : "")} style={{ paddingLeft: Math.min(row.depth, 20) * 12 }}>
          {row.name}
        </span>
      </td>
      <td>{tone && <Badge tone={tone[0]}>{tone[1]}</Badge>}</td>
      <td className="num right">{cell(row.a)}</td>
      <td className="num right">{cell(row.b)}</td>
      <td className={cx("num right", row.kind === "slower" && "text-warn", row.kind === "faster" && "text-ok")}>
        {row.a && row.b ? `${row.b.ns >= row.a.ns ? "+" : ""}${formatNs(row.b.ns - row.a.ns)}` : "–"}
      </td>
      <td>
        <span aria-hidden className="block space-y-0.5">
          {bar(row.a?.ns, "var(--c0)")}
          {bar(row.b?.ns, "var(--c1)")}
        </span>
      </td>
    </tr>
  );
}
