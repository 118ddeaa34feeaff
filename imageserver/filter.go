package imageserver

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagefs/imagefs/image"
)

// filter decides which of the visible images a listing has.
type filter struct {
	visibility string // "" when not asked for
	hidden     bool
	name       *string // when one name is asked for exactly
	tests      []func(*record) bool
}

// parseFilter reads every parameter that is not about paging, order or tags. A
// name that is no attribute asks for a property of that value.
func parseFilter(params map[string]string) (filter, error) {
	var f filter
	for name, value := range params {
		if err := f.parse(name, value); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f *filter) parse(name, value string) error {
	switch name {
	case "visibility":
		if value != "" && value != "all" && !slices.Contains(visibilities, value) {
			return refuse(http.StatusBadRequest, "Invalid visibility value: %s", value)
		}
		f.visibility = value
	case "changes-since":
		return refuse(http.StatusBadRequest, `The "changes-since" filter is no longer available on v2.`)
	case "deleted": // asks for nothing in v2
	case "os_hidden":
		v := strings.ToLower(value)
		if v != "true" && v != "false" {
			return refuse(http.StatusBadRequest, "Invalid value '%s' for 'os_hidden' filter. Valid values are 'true' or 'false'.", v)
		}
		f.hidden = v == "true"
	case "protected":
		if value != "true" && value != "false" {
			return refuse(http.StatusBadRequest, "Invalid value '%s' for 'protected' filter. Valid values are 'true' or 'false'.", value)
		}
		f.test(func(r *record) bool { return r.Protected == (value == "true") })
	case "name", "id", "status", "container_format", "disk_format":
		return f.parseText(name, value)
	case "created_at", "updated_at":
		return f.parseTime(name, value)
	case "owner", "checksum", "os_hash_value", "os_hash_algo":
		f.test(func(r *record) bool { v := r.text(name); return v != nil && *v == value })
	default:
		if base, end, ok := cutBound(name); ok {
			return f.parseBound(base, end, value)
		}
		if isNumber(name) {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return refuse(http.StatusBadRequest, "Unable to filter on a range with a non-numeric value.")
			}
			f.test(func(r *record) bool { v := r.number(name); return v != nil && *v == n })
			return nil
		}
		f.test(func(r *record) bool { v := r.Properties[name]; return v != nil && *v == value })
	}
	return nil
}

func (f *filter) test(t func(*record) bool) { f.tests = append(f.tests, t) }

// parseText reads a filter that may have an operator: eq:value, in:a,"b,c" or a
// bare value without a colon.
func (f *filter) parseText(name, value string) error {
	op, text := splitOperator(value)
	switch op {
	case "eq":
		if name == "name" {
			f.name = &text
		}
		f.test(func(r *record) bool { v := r.text(name); return v != nil && *v == text })
	case "in":
		list, err := splitList(text)
		if err != nil {
			return err
		}
		f.test(func(r *record) bool { v := r.text(name); return v != nil && slices.Contains(list, *v) })
	default:
		return refuse(http.StatusBadRequest, "Unable to filter by unknown operator '%s'.", op)
	}
	return nil
}

// splitOperator cuts at the first colon; what has none, or is a time, is eq.
func splitOperator(value string) (op, text string) {
	left, right, found := strings.Cut(value, ":")
	if !found {
		return "eq", value
	}
	if _, err := parseISO(value); err == nil {
		return "eq", value
	}
	return left, right
}

// splitList splits the values of in: at commas; a value in double quotes may
// have commas itself, and a backslash before a quote.
func splitList(text string) ([]string, error) {
	var list []string
	for rest := text; rest != ""; {
		if rest[0] != '"' {
			item, after, _ := strings.Cut(rest, ",")
			if strings.Contains(strings.ReplaceAll(item, `\"`, ""), `"`) {
				return nil, refuse(http.StatusBadRequest, "Invalid filter value %s. There is no comma before opening quotation mark.", text)
			}
			if item != "" {
				list = append(list, item)
			}
			rest = after
			continue
		}
		end := 1
		for end < len(rest) && (rest[end] != '"' || rest[end-1] == '\\') {
			end++
		}
		if end == len(rest) {
			return nil, refuse(http.StatusBadRequest, "Invalid filter value %s. The quote is not closed.", text)
		}
		list = append(list, rest[1:end])
		rest = rest[end+1:]
		if rest != "" && rest[0] != ',' {
			return nil, refuse(http.StatusBadRequest, "Invalid filter value %s. There is no comma after closing quotation mark.", text)
		}
		rest = strings.TrimPrefix(rest, ",")
	}
	return list, nil
}

func (f *filter) parseTime(name, value string) error {
	op, text := splitOperator(value)
	at, err := parseISO(text)
	if err != nil {
		return refuse(http.StatusBadRequest, `Bad "%s" query filter format. Use ISO 8601 DateTime notation.`, name)
	}
	tests := map[string]func(int) bool{
		"gt": func(c int) bool { return c > 0 }, "gte": func(c int) bool { return c >= 0 },
		"lt": func(c int) bool { return c < 0 }, "lte": func(c int) bool { return c <= 0 },
		"eq": func(c int) bool { return c == 0 }, "neq": func(c int) bool { return c != 0 },
	}
	holds := tests[op]
	if holds == nil {
		return refuse(http.StatusBadRequest, "Unable to filter on a unknown operator.")
	}
	f.test(func(r *record) bool {
		v := r.CreatedAt
		if name == "updated_at" {
			v = r.UpdatedAt
		}
		return holds(v.Compare(at))
	})
	return nil
}

// parseISO reads the forms of ISO 8601 that Glance takes; without a zone it is UTC.
func parseISO(text string) (time.Time, error) {
	var t time.Time
	var err error
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02", "20060102T150405Z07:00", "20060102T150405"} {
		if t, err = time.Parse(layout, text); err == nil {
			break
		}
	}
	return t, err
}

// cutBound recognises NAME_min and NAME_max.
func cutBound(name string) (base, end string, ok bool) {
	for _, end := range []string{"_min", "_max"} {
		if base, ok := strings.CutSuffix(name, end); ok {
			return base, end, true
		}
	}
	return "", "", false
}

func (f *filter) parseBound(base, end, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return refuse(http.StatusBadRequest, "Unable to filter on a range with a non-numeric value.")
	}
	if !isNumber(base) { // the real one ends with 500
		return refuse(http.StatusBadRequest, "Unable to filter on a range of '%s'.", base)
	}
	f.test(func(r *record) bool {
		v := r.number(base)
		return v != nil && (end == "_min" && *v >= n || end == "_max" && *v <= n)
	})
	return nil
}

// matches reports whether an image that the caller may see is in the listing.
func (f *filter) matches(r *record, c caller, memberStatus string, tags []string) bool {
	if r.Hidden != f.hidden || !f.shows(r, c, memberStatus) {
		return false
	}
	for _, tag := range tags {
		if _, found := slices.BinarySearch(r.Tags, tag); !found {
			return false
		}
	}
	for _, t := range f.tests {
		if !t(r) {
			return false
		}
	}
	return true
}

// shows is visibility in listings: community images of others only when asked
// for, shared ones only with the wanted membership.
func (f *filter) shows(r *record, c caller, memberStatus string) bool {
	own := r.ownedBy(c)
	if !own && !c.admin {
		switch r.Visibility {
		case image.VisibilityPublic, image.VisibilityCommunity:
		case image.VisibilityShared:
			m := r.sharedWith(c.project)
			if m == nil || memberStatus != "all" && m.Status != memberStatus {
				return false
			}
		default:
			return false
		}
	}
	switch f.visibility {
	case "all":
		return true
	case "":
		return own || r.Visibility != image.VisibilityCommunity
	default:
		return string(r.Visibility) == f.visibility
	}
}
