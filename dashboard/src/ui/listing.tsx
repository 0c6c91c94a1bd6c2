// What every list has: its states, its pages, and rows of which the whole is one target.
import { ChevronLeft, ChevronRight, SearchX } from "lucide-react";
import type { KeyboardEvent, MouseEvent, ReactNode } from "react";
import { useTimeRange, type Search, type SetSearch } from "../lib/query-state";
import { Badge, Button } from "./basics";
import { Failure, Loading, Notice } from "./states";

interface ListingProps {
  what: string;
  /** Of the request: what it has, or why it has nothing. */
  query: { isPending: boolean; isError: boolean; error: unknown; refetch: () => unknown; isPlaceholderData?: boolean };
  count: number;
  nextCursor: string | null | undefined;
  search: Search;
  set: SetSearch;
  /** Which of the conditions could be the reason that nothing is found. */
  filters: string[];
  empty?: ReactNode;
  children: ReactNode;
}

export function Listing({ what, query, count, nextCursor, search, set, filters, empty, children }: ListingProps) {
  if (query.isPending) return <Loading what={what} />;
  // What is there stays while the server is away for a moment.
  if (query.isError && count === 0) return <Failure error={query.error} retry={() => void query.refetch()} />;
  if (count === 0 && nextCursor) {
    // A search looks at so many spans at once, and says how far it has come.
    return (
      <Notice icon={SearchX} title={`No ${what} so far`} actions={<Button look="primary" onClick={() => set({ cursor: nextCursor }, { push: true })}>Look further back</Button>}>
        <p>The search has not come to the end of the chosen time yet.</p>
      </Notice>
    );
  }
  if (count === 0) return <Nothing what={what} search={search} set={set} filters={filters} empty={empty} />;
  const turn = (cursor: string | undefined) => set({ cursor }, { push: true });
  return (
    <>
      {query.isError && (
        <p role="status" className="flex-none pb-2">
          <Badge tone="warn">Not up to date: the last request failed.</Badge>
        </p>
      )}
      <div className="card min-h-0 flex-initial overflow-auto" aria-busy={query.isPlaceholderData} tabIndex={0} role="region" aria-label={what}>
        {children}
      </div>
      {(search.cursor || nextCursor) && (
        <nav aria-label="Pages of the list" className="flex flex-none items-center justify-end gap-2 pt-2">
          {search.cursor && (
            <Button icon={ChevronLeft} onClick={() => turn(undefined)}>
              First page
            </Button>
          )}
          {nextCursor && (
            <Button onClick={() => turn(nextCursor)}>
              Next page
              <ChevronRight size={13} aria-hidden />
            </Button>
          )}
        </nav>
      )}
    </>
  );
}

/** Why nothing is there, as far as it can be known: the conditions, or the time. */
function Nothing({ what, search, set, filters, empty }: Pick<ListingProps, "what" | "search" | "set" | "filters" | "empty">) {
  const [range, setRange] = useTimeRange();
  const filtered = filters.filter((field) => search[field]);
  if (filtered.length > 0) {
    const without = Object.fromEntries([...filtered, "cursor"].map((field) => [field, undefined]));
    return (
      <Notice icon={SearchX} title={`No ${what} with these conditions`} actions={<Button onClick={() => set(without)}>Without conditions</Button>}>
        <p>{filtered.map((field) => `${field}: ${search[field]}`).join(" · ")}</p>
      </Notice>
    );
  }
  const wide = range.from === "now-7d" && range.to === "now";
  return (
    <Notice
      icon={SearchX}
      title={`No ${what} in this time`}
      actions={!wide && <Button onClick={() => setRange({ from: "now-7d", to: "now" })}>Look at the last 7 days</Button>}
    >
      {empty ?? <p>Nothing was told in the chosen time range.</p>}
    </Notice>
  );
}

/** A row that goes somewhere: by a press anywhere in it, or by Enter; links and buttons in it keep their own ways. */
export function goRow(go: () => void) {
  const ofOwn = (target: EventTarget) => target instanceof Element && target.closest("a,button,input,select,label") !== null;
  return {
    "data-go": true,
    tabIndex: 0,
    onClick: (event: MouseEvent) => {
      // Whoever marks text to copy it does not want to leave.
      if (!ofOwn(event.target) && !window.getSelection()?.toString()) go();
    },
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key === "Enter" && event.target === event.currentTarget) go();
    },
  };
}
