import { Link } from "@tanstack/react-router";
import { Compass } from "lucide-react";
import { buttonClass } from "../ui/basics";
import { Failure, Notice } from "../ui/states";

export function Lost() {
  return (
    <Notice icon={Compass} title="There is no page here" actions={<Link to="/" className={buttonClass("primary")}>Go to the live map</Link>}>
      <p>Trace, event and agent ids are found with the search at the top.</p>
    </Notice>
  );
}

/** A page that broke: the others go on. */
export function Broken({ error, reset }: { error: unknown; reset?: () => void }) {
  return <Failure error={error} retry={reset} />;
}
