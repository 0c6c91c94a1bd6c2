// What is shown where there is nothing to show: why, and what to do about it. Never an empty table, never a zero.
import { CircleAlert, LoaderCircle, type LucideIcon, PlugZap, SearchX } from "lucide-react";
import type { ReactNode } from "react";
import { ApiError, BadAnswer, Unreachable } from "../api/client";
import { Button, CopyButton } from "./basics";

interface NoticeProps {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
  tone?: "plain" | "bad";
  role?: "status" | "alert";
  /** It is all that the page has: its title is that of the page. */
  page?: boolean;
}

export function Notice({ icon: Icon, title, children, actions, tone = "plain", role = "status", page }: NoticeProps) {
  const Title = page ? "h1" : "h2";
  return (
    <div role={role} className="rise mx-auto flex max-w-xl flex-col items-center gap-3 px-6 py-14 text-center">
      <span className={tone === "bad" ? "text-bad" : "text-text-3"}>
        <Icon size={26} strokeWidth={1.6} aria-hidden />
      </span>
      <Title className="text-base font-semibold">{title}</Title>
      {children && <div className="space-y-2 text-sm text-text-2">{children}</div>}
      {actions && <div className="mt-1 flex flex-wrap justify-center gap-2">{actions}</div>}
    </div>
  );
}

/** A command to copy. */
export function Snippet({ children }: { children: string }) {
  return (
    <div className="flex items-start gap-1 rounded-md border border-line bg-raised py-0.5 pr-1 pl-3 text-left">
      <code className="mono min-w-0 flex-1 overflow-x-auto py-1 whitespace-pre" tabIndex={0}>
        {children}
      </code>
      <CopyButton text={children} name="Copy the command" />
    </div>
  );
}

/** Grey lines while something is loaded; nothing for the first moments would flicker less, but say nothing to a screen reader. */
export function Loading({ what }: { what: string }) {
  return (
    <div role="status" className="flex items-center justify-center gap-2 px-6 py-14 text-sm text-text-3">
      <LoaderCircle size={16} className="animate-spin" aria-hidden />
      Loading {what} …
    </div>
  );
}

/** A failed request, told by what can be done about it. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const actions = retry && (
    <Button look="primary" onClick={retry}>
      Try again
    </Button>
  );
  if (error instanceof Unreachable) {
    return (
      <Notice icon={PlugZap} title="The server does not answer" tone="bad" role="alert" actions={actions}>
        <p>The page is here, but its server is not: has it been stopped? It starts with</p>
        <Snippet>loom up</Snippet>
      </Notice>
    );
  }
  if (error instanceof ApiError) {
    const { problem, status, code } = error;
    if (status === 404 && problem.detail === "no such route") {
      return (
        <Notice icon={SearchX} title="This server does not know that yet">
          <p>The dashboard asks for something that the running server has no answer to. Is it an older version?</p>
        </Notice>
      );
    }
    return (
      <Notice icon={CircleAlert} title={problem.title ?? `The server answered ${status}`} tone="bad" role="alert" actions={actions}>
        {problem.detail && <p className="[overflow-wrap:anywhere]">{problem.detail}</p>}
        {problem.errors?.map((one) => (
          <p key={`${one.pointer} ${one.detail}`}>
            <code className="mono">{one.pointer}</code> {one.detail}
          </p>
        ))}
        <p className="text-xs text-text-3">
          {status}
          {code && ` · ${code}`}
        </p>
      </Notice>
    );
  }
  const title = error instanceof BadAnswer ? "An answer that this page does not understand" : "Something went wrong here";
  return (
    <Notice icon={CircleAlert} title={title} tone="bad" role="alert" actions={actions}>
      <p className="[overflow-wrap:anywhere]">{error instanceof Error ? error.message : String(error)}</p>
    </Notice>
  );
}
