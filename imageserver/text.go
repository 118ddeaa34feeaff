package imageserver

import (
	"bytes"
	"encoding/json"
	"unicode"
	"unicode/utf8"
)

// marshal is json.Marshal without escapes for HTML, as Glance writes JSON.
func marshal(document any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(document); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// capitalize writes the first letter large, as Glance begins its sentences.
func capitalize(word string) string {
	c, n := utf8.DecodeRuneInString(word)
	return string(unicode.ToUpper(c)) + word[n:]
}
