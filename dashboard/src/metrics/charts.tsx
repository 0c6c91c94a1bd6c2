// The figures and charts of an agent, of a workflow, or of everything: they are the same.
import { useCallback, useMemo } from "react";
import type { Metrics, Series } from "../api/types";
import { formatCount, formatMs, formatNs, formatRatio, formatUsd, formatUsdAt, isKnown } from "../lib/format";
import { useTimeRange } from "../lib/query-state";
import { TimeBars, phasesOf } from "../ui/bars";
import { Badge, Stat } from "../ui/basics";
import { Chart } from "../ui/chart";

const whole = (value: number) => (Number.isInteger(value) ? formatCount(value) : "");

export function MetricCharts({ metrics }: { metrics: Metrics }) {
  const { executions, model_calls: models } = metrics;
  const phases = phasesOf(metrics.phases);
  const hasModels = models.count > 0;
  return (
    <div className="space-y-3">
      {!metrics.complete && (
        <Badge tone="warn">
          Not complete: more happened than is looked at, so these figures are of the last {formatNs(metrics.window_s * 1e9)} of this time.
        </Badge>
      )}
      <div className="card grid grid-cols-2 gap-x-6 gap-y-4 px-5 py-4 sm:grid-cols-4 xl:grid-cols-8">
        <Stat label="Executions">{formatCount(executions.count)}</Stat>
        <Stat label="Errors" tone={executions.errors > 0 ? "bad" : undefined} hint={isKnown(executions.error_rate) && formatRatio(executions.error_rate)}>
          {executions.count === 0 ? "–" : formatCount(executions.errors)}
        </Stat>
        <Stat label="p50">{formatMs(executions.duration_ms?.p50)}</Stat>
        <Stat label="p95" hint={executions.duration_ms ? `p99 ${formatMs(executions.duration_ms.p99)}` : undefined}>
          {formatMs(executions.duration_ms?.p95)}
        </Stat>
        <Stat label="Model calls" hint={hasModels && models.errors > 0 ? `${formatCount(models.errors)} failed` : undefined}>
          {hasModels ? formatCount(models.count) : "–"}
        </Stat>
        <Stat label="First token" hint={models.ttft_ms ? `p95 ${formatMs(models.ttft_ms.p95)}` : undefined}>
          {formatMs(models.ttft_ms?.p50)}
        </Stat>
        <Stat label="Tokens" hint={isKnown(models.prompt_tokens) && `${formatCount(models.prompt_tokens)} in, ${formatCount(models.completion_tokens)} out`}>
          {formatCount(models.total_tokens)}
        </Stat>
        <Stat label="Cost" hint={models.without_cost > 0 ? `${formatCount(models.without_cost)} calls without a price` : undefined}>
          {formatUsd(models.cost_usd)}
        </Stat>
      </div>
      <SeriesCharts series={metrics.series} hasModels={hasModels} />
      {phases.length > 0 && (
        <section className="card px-5 py-4">
          <h2 className="text-xs font-semibold">Phases of handlers, all executions together</h2>
          <TimeBars large parts={phases.slice(0, 16)} className="mt-3 grid gap-x-8 gap-y-2 md:grid-cols-2" />
        </section>
      )}
    </div>
  );
}

function SeriesCharts({ series, hasModels }: { series: Series; hasModels: boolean }) {
  const [, setRange] = useTimeRange();
  const choose = useCallback((from: number, to: number) => setRange({ from: String(Math.floor(from)), to: String(Math.ceil(to)) }), [setRange]);
  const runs = useMemo(
    () => [
      { name: "executions", colour: "var(--c0)", values: series.executions, bars: true },
      { name: "errors", colour: "var(--bad)", values: series.errors, bars: true },
    ],
    [series],
  );
  const times = useMemo(
    () => [
      { name: "p50", colour: "var(--c2)", values: series.p50_ms },
      { name: "p95", colour: "var(--c1)", values: series.p95_ms },
    ],
    [series],
  );
  const tokens = useMemo(() => [{ name: "tokens", colour: "var(--c3)", values: series.total_tokens, bars: true }], [series]);
  const cost = useMemo(() => [{ name: "cost", colour: "var(--c4)", values: series.cost_usd, bars: true }], [series]);
  return (
    <div className="grid gap-3 xl:grid-cols-2">
      <Chart title="Executions" at={series.at} lines={runs} format={whole} onRange={choose} />
      <Chart title="Duration" at={series.at} lines={times} format={formatMs} onRange={choose} />
      {hasModels && <Chart title="Tokens" at={series.at} lines={tokens} format={whole} onRange={choose} />}
      {hasModels && <Chart title="Cost" at={series.at} lines={cost} format={formatUsdAt} onRange={choose} />}
    </div>
  );
}
