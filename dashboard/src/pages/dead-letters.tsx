import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleCheck, RotateCcw, Trash2 } from "lucide-react";
import { useState } from "react";
import { api } from "../api/client";
import { deadLettersQuery, infoQuery } from "../api/queries";
import type { DeadLetter, NotRedriven } from "../api/types";
import { formatCount, plural } from "../lib/format";
import { keepRange, useQueryState } from "../lib/query-state";
import { Button, PageHead } from "../ui/basics";
import { TextFilter } from "../ui/filters";
import { Listing } from "../ui/listing";
import { Modal } from "../ui/modal";
import { Failure, Notice } from "../ui/states";
import { TraceLink, When } from "../ui/values";

type Deed = "redrive" | "drop";

export function DeadLettersPage() {
  const [search, set] = useQueryState();
  const query = useQuery(deadLettersQuery({ topic: search.topic, group: search.group, cursor: search.cursor, limit: 100 }));
  const info = useQuery(infoQuery());
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [deed, setDeed] = useState<Deed | null>(null);
  const letters = query.data?.items ?? [];
  const marked = letters.filter((letter) => chosen.has(letter.letter_id));
  const allowed = info.data?.capabilities.redrive !== false;
  const toggle = (id: string) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  const all = letters.length > 0 && marked.length === letters.length;
  const filtered = Boolean(search.topic || search.group);
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Dead letters" sub="events that a group gave up after all its attempts">
        {marked.length > 0 && <span className="num text-xs text-text-2">{plural(marked.length, "letter")} chosen</span>}
        <Button icon={RotateCcw} disabled={!allowed || marked.length === 0} onClick={() => setDeed("redrive")} title="Publish their events once more">
          Redrive …
        </Button>
        <Button icon={Trash2} look="danger" disabled={!allowed || marked.length === 0} onClick={() => setDeed("drop")} title="Take them out; nobody handles them any more">
          Drop …
        </Button>
      </PageHead>
      <div className="flex flex-none flex-wrap gap-2 px-5 pb-3">
        <TextFilter name="Topic" field="topic" search={search} set={set} suggest="topic" className="w-[220px]" />
        <TextFilter name="Group" field="group" search={search} set={set} className="w-[200px]" />
      </div>
      <div className="flex min-h-0 flex-1 flex-col px-5 pb-4">
        {query.isSuccess && letters.length === 0 && !filtered ? (
          <Notice icon={CircleCheck} title="There are no dead letters">
            <p>Whatever a group could not handle after its attempts is kept here, with its error and its trace, until somebody redrives or drops it.</p>
          </Notice>
        ) : (
          <Listing what="dead letters" query={query} count={letters.length} nextCursor={query.data?.next_cursor} search={search} set={set} filters={["topic", "group"]}>
            <table className="grid-table">
              <thead>
                <tr>
                  <th scope="col" className="w-9">
                    <input type="checkbox" aria-label="All of this page" checked={all} onChange={() => setChosen(new Set(all ? [] : letters.map((letter) => letter.letter_id)))} className="accent-[var(--accent)]" />
                  </th>
                  <th scope="col">Died</th>
                  <th scope="col">Topic</th>
                  <th scope="col">Group</th>
                  <th scope="col" className="right">Offset</th>
                  <th scope="col" className="right">Tries</th>
                  <th scope="col">Error</th>
                  <th scope="col">Event</th>
                  <th scope="col">Trace</th>
                </tr>
              </thead>
              <tbody>
                {letters.map((letter) => (
                  <tr key={letter.letter_id} aria-selected={chosen.has(letter.letter_id)}>
                    <td>
                      <input type="checkbox" aria-label={`Letter ${letter.letter_id}`} checked={chosen.has(letter.letter_id)} onChange={() => toggle(letter.letter_id)} className="accent-[var(--accent)]" />
                    </td>
                    <td className="text-text-2">
                      <When time={letter.time} />
                    </td>
                    <td className="font-medium">{letter.topic}</td>
                    <td>
                      {letter.stream} · {letter.group}
                    </td>
                    <td className="num right text-text-2">{letter.offset ?? "–"}</td>
                    <td className="num right" title={letter.attempts.map((one) => `${one.number}: ${one.error || "no error told"}`).join("\n")}>
                      {formatCount(letter.attempts.length)}
                    </td>
                    <td className="max-w-[300px]! text-bad" title={letter.error || undefined}>
                      {letter.error || "–"}
                    </td>
                    <td>
                      <Link to="/events/$eventId" params={{ eventId: letter.event_id }} search={keepRange} className="link mono">
                        {letter.event_id.slice(-8)}
                      </Link>
                    </td>
                    <td>
                      <TraceLink trace={letter.trace_id} span={letter.attempts.at(-1)?.span_id} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Listing>
        )}
      </div>
      {deed && (
        <Confirm
          deed={deed}
          letters={marked}
          onClose={() => setDeed(null)}
          onDone={() => {
            setDeed(null);
            setChosen(new Set());
          }}
        />
      )}
    </div>
  );
}

/** Letters of several groups are told to the server group by group. */
export function byGroup(letters: Pick<DeadLetter, "group" | "letter_id">[]): { group: string; ids: string[] }[] {
  const groups = new Map<string, string[]>();
  for (const { group, letter_id } of letters) groups.set(group, [...(groups.get(group) ?? []), letter_id]);
  return [...groups].map(([group, ids]) => ({ group, ids }));
}

/** Those that could not be redriven, and stay. One group after the other: if one fails, those before it are done, and the list says which are left. */
export async function carryOut(deed: Deed, groups: ReturnType<typeof byGroup>): Promise<NotRedriven[]> {
  const left: NotRedriven[] = [];
  for (const { group, ids } of groups) {
    if (deed === "drop") await api.dropLetters(group, ids);
    else left.push(...(await api.redrive(group, ids)).failed);
  }
  return left;
}

function Confirm({ deed, letters, onClose, onDone }: { deed: Deed; letters: DeadLetter[]; onClose: () => void; onDone: () => void }) {
  const queries = useQueryClient();
  const groups = byGroup(letters);
  const work = useMutation({
    mutationFn: () => carryOut(deed, groups),
    onSuccess: (left) => {
      if (left.length === 0) onDone();
    },
    onSettled: () => void queries.invalidateQueries({ queryKey: ["dead-letters"] }),
  });
  const redrive = deed === "redrive";
  const title = `${redrive ? "Redrive" : "Drop"} ${plural(letters.length, "dead letter")}?`;
  return (
    <Modal name={title} onClose={onClose} className="w-[min(480px,92vw)]">
      <div className="space-y-3 p-5">
        <h2 className="text-sm font-semibold">{title}</h2>
        <p className="text-[13px] text-text-2">
          {redrive
            ? "Each event is published once more, as a new one: every group of its stream gets it, in a new trace that links to its last attempt."
            : "They are taken out for good. No handler will see these events any more; their traces stay as long as the store keeps them."}
        </p>
        <ul className="text-xs text-text-2">
          {groups.map(({ group, ids }) => (
            <li key={group}>
              {group}: {formatCount(ids.length)}
            </li>
          ))}
        </ul>
        {work.isError && <Failure error={work.error} />}
        {work.data && work.data.length > 0 && (
          <div role="alert" className="text-xs text-bad">
            <p className="font-medium">{plural(work.data.length, "letter")} could not be redriven, and stay here:</p>
            <ul>
              {work.data.map((one) => (
                <li key={one.letter_id} className="[overflow-wrap:anywhere]">
                  <span className="mono">{one.letter_id}</span> {one.detail}
                </li>
              ))}
            </ul>
          </div>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look={redrive ? "primary" : "danger"} icon={redrive ? RotateCcw : Trash2} disabled={work.isPending} onClick={() => work.mutate()}>
            {redrive ? "Redrive" : "Drop"}
          </Button>
        </div>
      </div>
    </Modal>
  );
}
