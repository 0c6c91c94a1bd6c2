// What stands around every page: the way to the others, and what holds for all of them.
import { Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { Nav } from "./nav";
import { titleOf } from "./pages";
import { TopBar } from "./top-bar";

export function Shell() {
  const path = useRouterState({ select: (state) => state.location.pathname });
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    document.title = titleOf(path);
  }, [path]);
  return (
    <div className="flex h-full">
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:m-2 focus:rounded focus:bg-accent focus:px-3 focus:py-2 focus:text-on-accent"
        onClick={(event) => {
          // Not the link itself: with `<base href>` it would lead away from the page.
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <Nav />
      <div className="flex min-w-0 flex-1 flex-col">
        <TopBar />
        <main id="content" ref={main} tabIndex={-1} className="flex min-h-0 flex-1 flex-col outline-none!">
          <Outlet />
        </main>
      </div>
    </div>
  );
}
