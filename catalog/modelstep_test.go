package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// step is one step of a drawn history. Steps run in goroutines of their own, so
// that slow requests overlap with what comes after them.
type step struct {
	do    string
	id    string
	name  string
	fresh image.Image
	skew  time.Duration // of the clock of the node that makes the change
	wait  time.Duration // before the next step
}

func drawSteps(t *rapid.T) []step {
	names := []string{"a", "a", "b", "d.x", "d~1a2b3c4d.x", "", "A", idA}
	steps := make([]step, rapid.IntRange(1, 40).Draw(t, "steps"))
	for i := range steps {
		id := drawID(t)
		steps[i] = step{
			do: rapid.SampledFrom([]string{
				"list", "list", "read", "read", "lookup", "lookup", "own rename", "own rename", "own remove", "own commit", "own put",
				"create", "create", "drop", "rename", "hide", "show", "accept", "withdraw",
				"away", "back", "latency", "passes", "passes", "break", "mend", "again", "deaf", "hears",
			}).Draw(t, "do"),
			id: id, name: rapid.SampledFrom(names).Draw(t, "name"), fresh: drawImage(t, id),
			skew: time.Duration(rapid.IntRange(-15, 15).Draw(t, "skew")) * time.Second,
			wait: time.Duration(rapid.SampledFrom([]int{0, 0, 1, 3, 10, 500, 999, 31_000, 400_000}).Draw(t, "wait")) * time.Millisecond,
		}
		steps[i].fresh.Name = steps[i].name
	}
	return steps
}

// foreign reports a step that changes the service behind the catalog's back.
func (st step) foreign() bool {
	return slices.Contains([]string{"create", "drop", "rename", "hide", "show", "accept", "withdraw"}, st.do)
}

// stamp is the updated_at of a change.
func stamp(st step) time.Time { return time.Now().Add(st.skew).Truncate(time.Second) }

// describe writes a history one step a line.
func describe(steps []step) string {
	var b strings.Builder
	for _, st := range steps {
		fmt.Fprintf(&b, "\n%-10s %s %q, then %v", st.do, st.id, st.name, st.wait)
	}
	return b.String()
}
