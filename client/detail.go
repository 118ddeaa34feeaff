package client

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"unicode"
)

const (
	// maxErrorBody is the most bytes of an error answer that are read: Glance's
	// pages have some hundred bytes, and what a proxy adds says nothing more.
	maxErrorBody = 64 << 10
	// maxDetail is the most runes of the service's sentence that are kept, so
	// that a log line stays one line.
	maxDetail = 300
)

var (
	htmlHead = regexp.MustCompile(`(?is)<(head|h1|script|style)\b.*?</(head|h1|script|style)>`)
	htmlTag  = regexp.MustCompile(`(?s)<[^>]*>`)
)

// readDetail reads the service's sentence from an error answer and closes it.
// What cannot be read is left out: the status alone decides the kind.
func readDetail(resp *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // a cut answer still has its beginning
	_ = resp.Body.Close()                                          // nothing more is wanted of it
	return detail(text)
}

// detail is the service's own sentence in the body of an error answer: Glance
// answers with HTML or plain text, Keystone and newer middleware with JSON.
func detail(body []byte) string {
	text := strings.TrimSpace(string(body))
	if strings.HasPrefix(text, "{") {
		if s, ok := jsonMessage([]byte(text)); ok {
			return oneLine(s)
		}
	}
	if strings.Contains(text, "<") {
		text = htmlHead.ReplaceAllString(text, " ")
		text = html.UnescapeString(htmlTag.ReplaceAllString(text, " "))
	}
	return oneLine(text)
}

// jsonMessage finds "message" (or "title", "detail") at the top or one level
// down: {"error": {"message": …}}, {"badRequest": {"message": …}}, {"message": …}.
func jsonMessage(body []byte) (string, bool) {
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) != nil {
		return "", false
	}
	if s, ok := message(top); ok {
		return s, true
	}
	for _, key := range []string{"error", "badRequest", "forbidden", "itemNotFound", "conflict", "overLimit"} {
		var inner map[string]json.RawMessage
		if json.Unmarshal(top[key], &inner) == nil {
			if s, ok := message(inner); ok {
				return s, true
			}
		}
	}
	return "", false
}

func message(object map[string]json.RawMessage) (string, bool) {
	for _, key := range []string{"message", "detail", "title"} {
		var s string
		if json.Unmarshal(object[key], &s) == nil && s != "" {
			return s, true
		}
	}
	return "", false
}

// oneLine makes one bounded line of printable text.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxDetail {
		text = string(runes[:maxDetail]) + "…"
	}
	return text
}
