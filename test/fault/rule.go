package fault

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Always is as many times as it takes.
const Always = -1

// Rule lets requests of one kind fail.
type Rule struct {
	Kind  Kind // Any for each
	Fault Fault
	Times int    // requests that meet it; Always
	Skip  int    // requests before them that do not
	About string // only what has this text in its address or its JSON; "" for all
}

// rule is one that is in force.
type rule struct{ Rule }

// Set puts rules in force, in the place of those that were. The first that is about a
// request decides. None ends all faults; what waits in one goes on waiting.
func (p *Proxy) Set(rules ...Rule) error {
	p.mu.Lock()
	back := p.ruled
	p.rules, p.ruled = nil, 0
	for _, r := range rules {
		p.rules = append(p.rules, &rule{r})
	}
	p.mu.Unlock()
	var err error
	for range back {
		err = errors.Join(err, p.Back())
	}
	return err
}

// meets reports whether a request meets the rule, and counts it.
func (r *rule) meets(k Kind, text string) bool {
	switch {
	case r.Kind != Any && r.Kind != k, !r.Fault.Concerns(k), r.Times == 0, !strings.Contains(text, r.About):
		return false
	case r.Skip > 0:
		r.Skip--
		return false
	case r.Times > 0:
		r.Times--
	}
	return true
}

// maxJSON is the most bytes of a request that a rule looks at.
const maxJSON = 1 << 20

// about is what the text of a rule is looked for in: the address, and JSON if there is any.
func about(r *http.Request) string {
	text := r.URL.RequestURI()
	if !strings.Contains(r.Header.Get("Content-Type"), "json") {
		return text
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxJSON))
	if err != nil {
		panic(http.ErrAbortHandler) // its client has gone
	}
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	return text + " " + string(body)
}
