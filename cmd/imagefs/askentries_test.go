package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

// What a daemon of another version answers is an error with a code of this program, not a
// success, where it makes no sense here.
func TestStrangeAnswers(t *testing.T) {
	answer := ""
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte(answer)); err != nil {
			t.Error(err)
		}
	}))
	socket := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.Start()
	defer server.Close()
	for text, want := range map[string]exitCode{
		`{}`: exitInternal, `null`: exitInternal, `{"error":"x"}`: exitInternal, `{"error":"x","code":999}`: exitInternal, `{"error":"x","code":-3}`: exitInternal,
		`{"error":"x","code":29}`: exitNoImage, `{"news":true,"error":"x","code":5}`: exitUnreachable,
	} {
		answer = text + "\n"
		_, err := daemon{socket: socket}.entry(t.Context(), "disk", "")
		if err == nil || codeOf(err) != want {
			t.Errorf("%s: code %d, %v", text, codeOf(err), err)
		}
		_, err = daemon{socket: socket}.entries(t.Context(), listedSink{})
		if err == nil || codeOf(err) == exitOK || codeOf(err) > exitInterruptedBy {
			t.Errorf("a listing that is %s: code %d, %v", text, codeOf(err), err)
		}
	}
}
