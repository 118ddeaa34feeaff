package imageserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// maxJSON is the most bytes of a JSON body: 128 properties of 64 KiB.
const maxJSON = 8 << 20

// readJSON reads the request's body as a JSON array or object.
func (s *Server) readJSON(w http.ResponseWriter, r *request) (any, error) {
	body, end := s.watch(w, r)
	text, err := io.ReadAll(http.MaxBytesReader(w, io.NopCloser(body), maxJSON))
	end()
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, refuse(http.StatusRequestEntityTooLarge, "The request body is larger than %d bytes.", maxJSON)
		}
		return nil, refuse(http.StatusBadRequest, "The request body could not be read.")
	}
	if len(text) == 0 {
		return nil, refuse(http.StatusBadRequest, "Body expected in request.")
	}
	return parseJSON(text)
}

// parseJSON keeps numbers as json.Number, so that whole ones stay whole.
func parseJSON(text []byte) (any, error) {
	var body any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&body); err != nil || !utf8.Valid(text) { // Decode takes U+FFFD for what is none
		return nil, refuse(http.StatusBadRequest, "Malformed JSON in request body.")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, refuse(http.StatusBadRequest, "Malformed JSON in request body.")
	}
	switch body.(type) {
	case map[string]any, []any:
		return body, nil
	default:
		return nil, refuse(http.StatusBadRequest, "Unexpected body type. Expected list/dict.")
	}
}

// answer writes a JSON document.
func answer(w http.ResponseWriter, status int, document any) error {
	text, err := marshal(document)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, err = w.Write(text)
	return gone(err)
}
