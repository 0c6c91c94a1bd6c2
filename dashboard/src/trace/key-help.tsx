import { X } from "lucide-react";
import { IconButton, Kbd } from "../ui/basics";
import { Modal } from "../ui/modal";
import { KEYS, shownKey } from "./keys";

export function KeyHelp({ onClose }: { onClose: () => void }) {
  return (
    <Modal name="Keys of the waterfall" onClose={onClose} className="w-[min(640px,92vw)]">
      <header className="flex items-center justify-between border-b border-line py-2 pr-2 pl-5">
        <h2 className="text-sm font-semibold">Keys, while the tree has the focus</h2>
        <IconButton icon={X} name="Close" onClick={onClose} />
      </header>
      <dl className="max-h-[60vh] columns-1 gap-8 overflow-y-auto px-5 py-4 sm:columns-2">
        {KEYS.map(({ keys, action, text }) => (
          <div key={action} className="flex items-center gap-3 py-1">
            <dt className="flex w-[72px] flex-none gap-1">
              {keys.map((key) => (
                <Kbd key={key}>{shownKey(key)}</Kbd>
              ))}
            </dt>
            <dd className="text-xs text-text-2">{text}</dd>
          </div>
        ))}
      </dl>
      <p className="border-t border-line px-5 py-3 text-xs text-text-3">With the mouse: drag over the overview or the axis to zoom, scroll with Ctrl to zoom, with Shift to move.</p>
    </Modal>
  );
}
