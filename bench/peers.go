package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// curl reads an image whole over one connection from the Image service.
func (l *lab) curl(s *site, p published) contender {
	return contender{name: "curl", how: "`curl -o /dev/null`, one connection to the Image service", measure: func(ctx context.Context) (values, error) {
		args := []string{"-sSf", "-o", "/dev/null", "-w", "%{size_download} %{time_total}"}
		if s.token != "" {
			args = append(args, "-H", "X-Auth-Token: "+s.token)
		}
		// curl's own clock: a process costs 10 ms to start.
		out, err := l.command(ctx, "curl", append(args, s.image(p))...).Output()
		if err != nil {
			return nil, fmt.Errorf("curl: %w", err)
		}
		words := strings.Fields(string(out))
		if len(words) != 2 || words[0] != strconv.FormatInt(p.size, 10) {
			return nil, fmt.Errorf("curl: %s instead of %d bytes", out, p.size)
		}
		taken, err := strconv.ParseFloat(words[1], 64)
		return values{speed.key: float64(p.size) / taken / 1e6}, err
	}}
}

// curls is one curl with 16 ranged connections.
func (l *lab) curls(s *site, p published) contender {
	return contender{name: "16 ranges by curl", how: "`curl --parallel` with 16 ranges, to `/dev/null`, from `imagefs serve`", measure: func(ctx context.Context) (values, error) {
		args := []string{"-sSf", "--no-progress-meter", "--parallel", "--parallel-immediate"}
		for i := range int64(streams) {
			if i > 0 {
				args = append(args, "--next", "-sSf")
			}
			args = append(args, "-o", "/dev/null", "-r", fmt.Sprintf("%d-%d", p.size*i/streams, p.size*(i+1)/streams-1), s.image(p))
		}
		return l.whole(ctx, p, "curl", args...)
	}}
}

// nbdcopy reads an image whole through nbdkit's curl plugin, which has one
// connection to the server for each of nbdcopy's.
func (l *lab) nbdcopy(s *site, p published, connections int) contender {
	command := fmt.Sprintf(`nbdcopy --connections=%d --requests=%d --request-size=4194304 "$uri" null:`, connections, connections)
	return contender{
		name: "nbdkit, nbdcopy", how: "`nbdkit -r --filter=multi-conn curl url=… multi-conn-mode=unsafe --run '" + command + "'`",
		measure: func(ctx context.Context) (values, error) {
			return l.whole(ctx, p, "nbdkit", "-r", "-U", "-", "--filter=multi-conn", "curl", "url="+s.file(p), "multi-conn-mode=unsafe", "--run", command)
		},
	}
}

// qemuHTTP reads an image whole with qemu's own http driver.
func (l *lab) qemuHTTP(s *site, p published) contender {
	return contender{name: "qemu-img over http", how: "`qemu-img convert -n -m 2` of the URL to `null-co`; with 4 coroutines or more qemu 7.2 hangs behind a distance", measure: func(ctx context.Context) (values, error) {
		source := fmt.Sprintf(`json:{"driver":"raw","file":%s}`, qemuURL(s.file(p)))
		target := fmt.Sprintf("driver=null-co,size=%d", p.size)
		return l.whole(ctx, p, "qemu-img", "convert", "-n", "-m", "2", "--target-image-opts", source, target)
	}}
}

// qemuURL is a file that qemu's http driver reads.
func qemuURL(url string) string {
	return fmt.Sprintf(`{"driver":"http","url":%q,"timeout":60}`, url)
}

// aria2 downloads an image whole to a local file.
func (l *lab) aria2(s *site, p published) contender {
	return contender{name: "aria2c", how: "`" + aria2How + "`, to a local file", measure: func(ctx context.Context) (values, error) {
		dir, err := l.temp("aria2c")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // the lab's end removes what this does not
		taken, err := l.download(ctx, s, p, dir)
		return values{speed.key: mbs(p.size, taken)}, err
	}}
}

const aria2How = "aria2c -x16 -s16 -k1M --file-allocation=none"

// download gets an image into a directory by aria2c.
func (l *lab) download(ctx context.Context, s *site, p published, dir string) (time.Duration, error) {
	words := strings.Fields(aria2How)
	return l.run(ctx, words[0], append(words[1:], "-q", "--no-conf", "-d", dir, "-o", p.name, s.file(p))...)
}

// whole runs a program that reads an image whole.
func (l *lab) whole(ctx context.Context, p published, name string, args ...string) (values, error) {
	taken, err := l.run(ctx, name, args...)
	return values{speed.key: mbs(p.size, taken)}, err
}

// localFile is what reading costs at least: of the image as a download leaves it.
func (l *lab) localFile(p published) contender {
	return contender{name: "local file", how: "`dd bs=1M` of the file that `curl -o` has just made, in the page cache", measure: func(ctx context.Context) (v values, err error) {
		copied := filepath.Join(l.dir, "downloaded.raw")
		defer func() { err = errors.Join(err, os.Remove(copied)) }()
		if _, err := l.run(ctx, "curl", "-sSf", "-o", copied, l.plain.image(p)); err != nil {
			return nil, err
		}
		// Else the kernel writes it to the disk while it is read, on the same processors.
		if _, err := l.run(ctx, "sync", copied); err != nil {
			return nil, err
		}
		return l.sequential(ctx, copied, p.size)
	}}
}

// largeWrites is a local file that was written 1 MiB at a time: the kernel keeps it in
// larger pages than one that came in small pieces, and reads it faster.
func (l *lab) largeWrites(p published) contender {
	return contender{name: "file of large writes", how: "`dd bs=1M` of a file that was written 1 MiB at a time, in the page cache", measure: func(ctx context.Context) (values, error) {
		return l.sequential(ctx, p.path, p.size)
	}}
}
