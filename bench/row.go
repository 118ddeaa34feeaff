package main

import "context"

// A metric is one figure of a measurement.
type metric struct {
	key, title string
	format     string // of fmt, for one float64
}

// The metrics, and the units of their figures.
var (
	speed      = metric{"speed", "MB/s", "%.0f"}             // 1e6 bytes a second
	seconds    = metric{"seconds", "seconds", "%.2f"}        //
	latency    = metric{"latency", "round trips", "%.2f"}    // median latency of a read
	rate       = metric{"rate", "reads/s", "%.0f"}           //
	perRead    = metric{"per-read", "KiB per read", "%.0f"}  // carried by the link
	fetched    = metric{"fetched", "KiB carried", "%.0f"}    // the same, of all
	requests   = metric{"requests", "requests", "%.0f"}      //
	roundTrips = metric{"trips", "round trips", "%.0f"}      // see link.Counts
	spread     = metric{"spread", "slowest/fastest", "%.2f"} // of several readers
	work       = metric{"work", "processor s/GiB", "%.3f"}   // of the mount's program
	resident   = metric{"resident", "MiB resident", "%.0f"}  // at most
)

// values are the figures of one measurement by metric key.
type values map[string]float64

// A contender does a row's work with one program.
type contender struct {
	name string
	// how says with which settings, for the document; a command in most cases.
	how string
	// measure does the work once, from the state that the row says, and leaves
	// nothing behind but what after removes.
	measure func(ctx context.Context) (values, error)
	// after, where there is one, looks at what a measurement has left, and removes it.
	// It is told how the measurement failed, and may take its time.
	after func(ctx context.Context, failed error) error
}

// A target is what a row must show.
type target struct {
	text string // as the document says it
	// of is the contender that must meet it, by the figure itself or, where over
	// names others (by the begin of their names), by its ratio to each of them: the
	// worst decides.
	of     string
	over   []string
	metric metric
	least  float64 // at least this; 0 is no bound
	most   float64 // at most this; 0 is no bound
}

// A row is one kind of work.
type row struct {
	name    string // of -only
	title   string
	about   string   // what is measured and from which state, for the document
	metrics []metric // the first is drawn
	// fills is how many times the large image's bytes of fresh memory a measurement
	// fills: kernel's pages, files of caches, files written. 0 where it does not matter.
	fills   int64
	turns   int // how many, where it is not defaultRuns
	targets []target
	// prepare makes what all its measurements share. It may use l until the row is
	// over, and register there what must end.
	prepare func(ctx context.Context, l *lab) ([]contender, error)
}

// allRows are the rows in the order of the document.
func allRows() []row {
	return []row{
		linkRow(),
		coldShaped(),
		coldLoopback(),
		again(),
		randomAlone(),
		randomMany(),
		info(),
		convert(),
		convertPacked(),
		eight(),
		withoutRanges(),
		glance(),
		writeOne(),
		writeMany(),
		writeTree(),
		writeLocal(),
		listFirst(),
		listAgain(),
		listLong(),
		listMemory(),
		listGlance(),
		memory(),
		watched(),
		streamsRow(),
	}
}
