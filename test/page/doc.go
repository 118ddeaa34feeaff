// Package page looks at the page of a mount (web/page) in a real browser, headless Chromium:
// what it shows, that names stay text, that a keyboard is enough, and that it is whole in
// light and dark and on a phone. What the handlers answer is tested in package web.
//
// -screenshots DIR keeps pictures of what the tests see. The one in the README is made by the
// program in picture.
package page
