// ⌘K: a page by its name, or whatever has an id.
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { Bot, CornerDownLeft, ListChecks, Radio, Search, Waypoints } from "lucide-react";
import { useState } from "react";
import { agentsQuery } from "../api/queries";
import { guess } from "../lib/lookup";
import { rangeWith, type Search as Query } from "../lib/query-state";
import { Kbd } from "../ui/basics";
import { Modal } from "../ui/modal";
import { PAGES } from "./pages";

const ICONS = { trace: Waypoints, traceparent: Waypoints, span: ListChecks, event: Radio, text: Search };
const ITEM =
  "flex h-9 cursor-pointer items-center gap-2.5 rounded-md px-2.5 text-[13px] text-text-2 data-[selected=true]:bg-accent-soft data-[selected=true]:text-accent";

export default function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const navigate = useNavigate();
  const agents = useQuery({ ...agentsQuery(), retry: false });
  const go = (to: string, search: Query = {}) => {
    onClose();
    void navigate({ to, search: rangeWith(search) });
  };
  const words = text.trim().toLowerCase();
  const has = (...where: string[]) => where.some((one) => one.toLowerCase().includes(words));
  const pages = PAGES.filter((page) => has(page.name, page.words));
  const known = (agents.data?.items ?? []).filter((agent) => has(agent.agent_id)).slice(0, words === "" ? 5 : 12);
  return (
    <Modal name="Find" onClose={onClose} className="mt-[12vh] mb-auto w-[min(560px,92vw)]">
      <Command shouldFilter={false} label="Find a page or an id" loop>
        <div className="flex items-center gap-2.5 border-b border-line px-4">
          <Search size={15} aria-hidden className="text-text-3" />
          <Command.Input
            data-first-focus
            value={text}
            onValueChange={setText}
            placeholder="A page, an agent, or an id of a trace, event or execution"
            className="h-12 flex-1 bg-transparent text-sm outline-none!"
          />
          <Kbd>esc</Kbd>
        </div>
        <Command.List className="max-h-[52vh] overflow-y-auto p-2">
          {guess(text).map((one) => {
            const Icon = ICONS[one.kind];
            return (
              <Command.Item key={one.kind} value={`find ${one.kind}`} onSelect={() => go(one.to, one.search)} className={ITEM}>
                <Icon size={15} aria-hidden />
                <span className="whitespace-nowrap">{one.label}</span>
                <span className="mono min-w-0 flex-1 truncate">{text.trim()}</span>
                <CornerDownLeft size={13} aria-hidden />
              </Command.Item>
            );
          })}
          {pages.map(({ to, name, icon: Icon }) => (
            <Command.Item key={to} value={`page ${name}`} onSelect={() => go(to)} className={ITEM}>
              <Icon size={15} aria-hidden />
              {name}
            </Command.Item>
          ))}
          {known.map((agent) => (
            <Command.Item
              key={agent.agent_id}
              value={`agent ${agent.agent_id}`}
              onSelect={() => go(`/agents/${encodeURIComponent(agent.agent_id)}`)}
              className={ITEM}
            >
              <Bot size={15} aria-hidden />
              <span className="truncate">{agent.agent_id}</span>
              <span className="ml-auto text-2xs text-text-3">agent</span>
            </Command.Item>
          ))}
        </Command.List>
      </Command>
    </Modal>
  );
}
