// The pages that one can go to: in the navigation, in ⌘K, and in the title of the window.
import { Activity, Bot, ChartSpline, Inbox, ListChecks, type LucideIcon, Radio, Rocket, Waypoints, Workflow } from "lucide-react";

export const PAGES: { to: string; name: string; icon: LucideIcon; words: string }[] = [
  { to: "/", name: "Live", icon: Activity, words: "map topology now" },
  { to: "/traces", name: "Traces", icon: Waypoints, words: "search spans slow errors" },
  { to: "/agents", name: "Agents", icon: Bot, words: "connected health" },
  { to: "/workflows", name: "Workflows", icon: Workflow, words: "runs steps" },
  { to: "/executions", name: "Executions", icon: ListChecks, words: "failed timeout running" },
  { to: "/events", name: "Events", icon: Radio, words: "topics messages publish" },
  { to: "/dead-letters", name: "Dead letters", icon: Inbox, words: "dlq redrive drop" },
  { to: "/metrics-view", name: "Metrics", icon: ChartSpline, words: "charts rate latency tokens cost" },
  { to: "/setup", name: "Setup", icon: Rocket, words: "start connect first event help" },
];

/** `/agents/sensor`: sensor · Agents · Loom. The path is the reader's, so it may be no whole encoding of anything. */
export function titleOf(path: string): string {
  const [section, id = ""] = path.replace(/^\/+/, "").split("/");
  const page = PAGES.find((one) => one.to === `/${section}`);
  return [decoded(id).slice(0, 12), page?.name, "Loom"].filter(Boolean).join(" · ");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
