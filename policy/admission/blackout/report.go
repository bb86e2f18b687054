package blackout

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// WriteTable writes results as a table of Markdown.
func WriteTable(w io.Writer, results []*Result) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "| before the ACS | fleet | ignore Retry-After | lower bound | 99 % through after | factor | urgent within 30 s | peak against the rate | deviation of the load | falls of the ACS | attempts of a CPE |")
	fmt.Fprintln(b, "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
	for _, r := range results {
		ignore := "–" // it gets none to ignore
		if r.Gate == Admission {
			ignore = fmt.Sprintf("%.0f %%", 100*r.Ignore)
		}
		after, factor := "not by "+longest.String(), "–"
		if r.Until99 > 0 {
			after, factor = seconds(r.Until99), fmt.Sprintf("%.3f", r.Factor())
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s | %.2f %% | %+.1f %% | %.1f %% | %d | %.2f |\n", r.Gate, r.Fleet, ignore,
			seconds(r.LowerBound), after, factor, 100*r.Urgent30, 100*r.Over(), 100*r.Deviation/r.Rate, r.Falls, r.Attempts)
	}
	return b.Flush()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }

// The plot's measures, in pixels.
const (
	plotWidth   = 760
	panelHeight = 110
	panelLeft   = 60
	panelTop    = 28
	panelGap    = 44
)

// WritePlot writes the load on the ACS over time as SVG, a panel for each result.
func WritePlot(w io.Writer, results []*Result) error {
	b := bufio.NewWriter(w)
	height := panelTop + len(results)*(panelHeight+panelGap)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n",
		plotWidth+panelLeft+20, height, plotWidth+panelLeft+20, height)
	fmt.Fprintln(b, `<rect width="100%" height="100%" fill="white"/>`)
	span := 0
	for _, r := range results {
		span = max(span, int(4*r.LowerBound/time.Second))
	}
	for i, r := range results {
		writePanel(b, r, panelTop+i*(panelHeight+panelGap), span)
	}
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}

// writePanel draws one result. Loads over four times the rate are cut off: the
// title says how high they go.
func writePanel(b *bufio.Writer, r *Result, top, span int) {
	title := fmt.Sprintf("%s: 99 %% through after %s, peak %d a second", r.Gate, seconds(r.Until99), r.Peak)
	if r.Gate == Admission {
		title += fmt.Sprintf(", %.0f %% ignore Retry-After", 100*r.Ignore)
	}
	if r.Falls > 0 {
		title += fmt.Sprintf(", the ACS fell over %d times", r.Falls)
	}
	most := 4 * r.Rate
	x := func(second float64) float64 { return panelLeft + second/float64(span)*plotWidth }
	y := func(load float64) float64 { return float64(top+panelHeight) - min(load, most)/most*panelHeight }
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", panelLeft, top-8, title)
	fmt.Fprintf(b, `<path fill="#4878a8" stroke="none" d="M%d %d`, panelLeft, top+panelHeight)
	step := max(1, span/plotWidth)
	for s := 0; s < min(span, len(r.Load)); s += step {
		sum, n := 0, 0
		for _, l := range r.Load[s:min(s+step, len(r.Load))] {
			sum += l
			n++
		}
		mean := y(float64(sum) / float64(n))
		fmt.Fprintf(b, "L%.1f %.1fL%.1f %.1f", x(float64(s)), mean, x(float64(min(s+step, span))), mean)
	}
	fmt.Fprintf(b, `L%.1f %dZ"/>`+"\n", x(float64(min(span, len(r.Load)))), top+panelHeight)
	fmt.Fprintf(b, `<path fill="none" stroke="#888" d="M%d %dV%dH%d"/>`+"\n", panelLeft, top, top+panelHeight, panelLeft+plotWidth)
	fmt.Fprintf(b, `<path fill="none" stroke="#c03020" stroke-dasharray="5 3" d="M%d %.1fH%d"/>`+"\n", panelLeft, y(r.Rate), panelLeft+plotWidth)
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end" fill="#c03020">%.0f/s</text>`+"\n", panelLeft-4, y(r.Rate)+4, r.Rate)
	for i := range 5 {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%d s</text>`+"\n", x(float64(i*span)/4), top+panelHeight+13, i*span/4)
	}
}
