import { Link } from "@tanstack/react-router";
import { PanelLeftClose, PanelLeftOpen } from "lucide-react";
import { setPrefs, usePrefs } from "../lib/prefs";
import { keepRange } from "../lib/query-state";
import { IconButton, cx } from "../ui/basics";
import { PAGES } from "./pages";

export function Nav() {
  const { narrowNav } = usePrefs();
  const text = narrowNav ? "hidden" : "hidden lg:inline";
  return (
    <nav
      aria-label="Pages"
      className={cx("flex flex-none flex-col border-r border-line bg-surface", narrowNav ? "w-[52px]" : "w-[52px] lg:w-[168px]")}
    >
      <Link to="/" search={keepRange} className="flex h-12 items-center gap-2.5 px-[15px]" aria-label="Loom">
        <Logo />
        <span className={cx(text, "text-[15px] font-semibold tracking-tight")}>Loom</span>
      </Link>
      <ul className="flex flex-1 flex-col gap-0.5 px-2 pt-1">
        {PAGES.map(({ to, name, icon: Icon }) => (
          <li key={to}>
            <Link
              to={to}
              search={keepRange}
              activeOptions={{ exact: to === "/", includeSearch: false }}
              title={name}
              className="flex h-8 items-center gap-2.5 rounded-md px-[10px] text-[13px] text-text-2 hover:bg-raised hover:text-text"
              activeProps={{ className: "bg-accent-soft! text-accent! font-medium", "aria-current": "page" }}
            >
              <Icon size={16} strokeWidth={1.8} aria-hidden className="flex-none" />
              <span className={cx(text, "truncate")}>{name}</span>
              <span className={narrowNav ? "sr-only" : "sr-only lg:hidden"}>{name}</span>
            </Link>
          </li>
        ))}
      </ul>
      <div className="hidden p-2 lg:block">
        <IconButton
          icon={narrowNav ? PanelLeftOpen : PanelLeftClose}
          name={narrowNav ? "Wide navigation" : "Narrow navigation"}
          onClick={() => setPrefs({ narrowNav: !narrowNav })}
          className="size-8!"
        />
      </div>
    </nav>
  );
}

/** Three threads of the warp, and the one that goes through them. */
function Logo() {
  return (
    <svg width="22" height="22" viewBox="0 0 22 22" aria-hidden className="flex-none">
      <rect width="22" height="22" rx="5" className="fill-accent" />
      <g fill="none" className="stroke-on-accent" strokeWidth="2" strokeLinecap="round">
        <path d="M5.5 7h11M5.5 11h4.5M14 11h2.5M5.5 15h11" />
        <path d="M12 4.8v12.4" strokeOpacity="0.65" />
      </g>
    </svg>
  );
}
