// A dialog of the browser's own: it keeps the focus, closes with Escape, and needs no style of its own in the page, which the
// policy of the page would refuse.
import { type ReactNode, useEffect, useRef } from "react";
import { cx } from "./basics";

export function Modal({ name, onClose, children, className }: { name: string; onClose: () => void; children: ReactNode; className?: string }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    // Only a press beside the dialog's content has the dialog itself as its target.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-element-interactions
    <dialog
      ref={dialog}
      aria-label={name}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === event.currentTarget) onClose();
      }}
      className={cx("rise m-auto max-h-[80vh] overflow-hidden rounded-xl border border-line bg-surface p-0 shadow-pop", className)}
    >
      {children}
    </dialog>
  );
}
