package imageserver

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// parseRange finds the span that a Range header asks for of an image of size
// bytes, with the leniency of Glance (spaces, any letter case, trailing text)
// and its refusals: several ranges 400, malformed or reversed ones and a start
// behind the end 416, a lone "-" 500.
func parseRange(header string, size int64) (image.Span, error) {
	if strings.Contains(header, ",") {
		return image.Span{}, refuse(http.StatusBadRequest, "Requests with multiple ranges are not supported in Glance. You may make multiple single-range requests instead.")
	}
	first, last, ok := rangeNumbers(header)
	switch {
	case !ok:
		return image.Span{}, unsatisfiable("Invalid Range header.")
	case first == "" && last == "":
		return image.Span{}, &problem{status: http.StatusInternalServerError, text: "The server has either erred or is incapable of performing the requested operation.", close: true}
	}
	if first == "" {
		n, ok := position(last)
		// The real one takes -0 for the whole image and so does this one.
		if !ok || n == 0 || n > size {
			n = size
		}
		if size == 0 {
			return image.Span{}, unsatisfiable("Invalid Range header.")
		}
		return image.Span{Off: size - n, Len: n}, nil
	}
	start, ok := position(first)
	if !ok || start >= size {
		return image.Span{}, unsatisfiable("Invalid start position in Range header. Start position MUST be in the inclusive range [0, " + strconv.FormatInt(size-1, 10) + "].")
	}
	end := size - 1
	if last != "" {
		if n, ok := position(last); ok {
			if n < start {
				return image.Span{}, unsatisfiable("Invalid Range header.")
			}
			end = min(n, end)
		}
	}
	return image.Span{Off: start, Len: end - start + 1}, nil
}

func unsatisfiable(detail string) *problem {
	return &problem{status: http.StatusRequestedRangeNotSatisfiable, text: "The Range requested is not available.", detail: detail}
}

// rangeNumbers matches `bytes *= *(\d*) *- *(\d*)` at the start of the header.
func rangeNumbers(header string) (first, last string, ok bool) {
	const unit = "bytes"
	if len(header) < len(unit) || !strings.EqualFold(header[:len(unit)], unit) {
		return "", "", false
	}
	rest, ok := strings.CutPrefix(strings.TrimLeft(header[len(unit):], " "), "=")
	if !ok {
		return "", "", false
	}
	first, rest = digits(strings.TrimLeft(rest, " "))
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), "-")
	if !ok {
		return "", "", false
	}
	last, _ = digits(strings.TrimLeft(rest, " "))
	return first, last, true
}

func digits(text string) (number, rest string) {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return text[:n], text[n:]
}

// position reads decimal digits; false when they do not fit, which is behind
// the end of every image.
func position(digits string) (int64, bool) {
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}
