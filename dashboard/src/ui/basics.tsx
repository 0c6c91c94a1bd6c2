// The small parts that every page is made of.
import { Check, Copy, type LucideIcon } from "lucide-react";
import { type ButtonHTMLAttributes, type ReactNode, useEffect, useState } from "react";

export const cx = (...names: (string | false | null | undefined)[]) => names.filter(Boolean).join(" ");

const BUTTON =
  "inline-flex h-7 items-center gap-1.5 rounded-md px-2.5 text-xs font-medium whitespace-nowrap disabled:opacity-50";
const LOOKS = {
  plain: "text-text-2 hover:bg-raised hover:text-text",
  outline: "border border-line bg-surface text-text-2 hover:border-line-strong hover:text-text",
  primary: "bg-accent text-on-accent hover:brightness-110",
  danger: "border border-bad text-bad hover:bg-bad-soft",
};

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: keyof typeof LOOKS;
  icon?: LucideIcon;
  pressed?: boolean;
}

export function Button({ look = "outline", icon: Icon, pressed, className, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      aria-pressed={pressed}
      className={cx(BUTTON, LOOKS[look], pressed && "border-accent! bg-accent-soft! text-accent!", className)}
      {...rest}
    >
      {Icon && <Icon size={14} aria-hidden />}
      {children}
    </button>
  );
}

/** A button of an icon alone; its name is its title. */
export function IconButton({ icon: Icon, name, className, look = "plain", ...rest }: ButtonProps & { icon: LucideIcon; name: string }) {
  return (
    <button
      type="button"
      title={name}
      aria-label={name}
      className={cx("inline-flex size-7 flex-none items-center justify-center rounded-md disabled:opacity-40", LOOKS[look], className)}
      {...rest}
    >
      <Icon size={15} aria-hidden />
    </button>
  );
}

export const buttonClass = (look: keyof typeof LOOKS = "outline") => cx(BUTTON, LOOKS[look]);

const TONES = {
  plain: "bg-raised text-text-2",
  accent: "bg-accent-soft text-accent",
  ok: "bg-ok-soft text-ok",
  bad: "bg-bad-soft text-bad",
  warn: "bg-warn-soft text-warn",
  run: "bg-run-soft text-run",
  dead: "bg-dead-soft text-dead",
};
export type Tone = keyof typeof TONES;

/** A state: always an icon and a word, so that colour is not needed to tell it. */
export function Badge({ tone = "plain", icon: Icon, children, title }: { tone?: Tone; icon?: LucideIcon; children: ReactNode; title?: string }) {
  return (
    <span title={title} className={cx("inline-flex h-5 items-center gap-1 rounded px-1.5 text-2xs font-medium whitespace-nowrap", TONES[tone])}>
      {Icon && <Icon size={12} aria-hidden />}
      {children}
    </span>
  );
}

export function Kbd({ children }: { children: ReactNode }) {
  return (
    <kbd className="inline-flex h-[18px] min-w-[18px] items-center justify-center rounded border border-line-strong bg-raised px-1 text-[10.5px] text-text-2">
      {children}
    </kbd>
  );
}

/** Copies, and says for a moment that it has. */
export function CopyButton({ text, name = "Copy", label }: { text: string; name?: string; label?: string }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = () => {
    navigator.clipboard?.writeText(text).then(
      () => setDone(true),
      () => setDone(false),
    );
  };
  if (label) {
    return (
      <Button icon={done ? Check : Copy} onClick={copy}>
        {done ? "Copied" : label}
      </Button>
    );
  }
  return <IconButton icon={done ? Check : Copy} name={done ? "Copied" : name} onClick={copy} className="size-6!" />;
}

export function Stat({ label, children, hint, tone }: { label: string; children: ReactNode; hint?: ReactNode; tone?: "bad" }) {
  return (
    <div className="min-w-0">
      <div className="label truncate">{label}</div>
      <div className={cx("num mt-0.5 text-[17px] leading-6 font-semibold", tone === "bad" && "text-bad")}>{children}</div>
      {hint && <div className="truncate text-2xs text-text-3">{hint}</div>}
    </div>
  );
}

/** A heading of a page with what can be done there. */
export function PageHead({ title, children, sub }: { title: ReactNode; children?: ReactNode; sub?: ReactNode }) {
  return (
    <header className="flex min-h-12 flex-none flex-wrap items-center gap-x-3 gap-y-1 px-5 py-2">
      <h1 className="text-[15px] font-semibold">{title}</h1>
      {sub && <div className="min-w-0 truncate text-xs text-text-3">{sub}</div>}
      <div className="ml-auto flex flex-wrap items-center gap-2">{children}</div>
    </header>
  );
}

export function Swatch({ colour, round }: { colour: string; round?: boolean }) {
  return <span aria-hidden className={cx("inline-block size-2.5 flex-none", round ? "rounded-full" : "rounded-[3px]")} style={{ background: colour }} />;
}
