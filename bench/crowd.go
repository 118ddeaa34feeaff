package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/imagefs/imagefs/imageserver"
)

// glanceCrowd is how many images the real Glance has: it takes seconds to list them.
const glanceCrowd = 3000

// newCrowd starts the embedded server with very many images, for the rest of the scope.
// Their records stay for the next one.
func (l *lab) newCrowd(ctx context.Context) (*site, error) {
	const name = "crowd"
	dir := filepath.Join(l.dir, name)
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = imageserver.Seed(dir, crowd)
	}
	if err != nil {
		return nil, err
	}
	s, err := l.newSite(ctx, name)
	l.atEnd(func() error { return os.RemoveAll(filepath.Join(l.dir, name+"-files")) })
	return s, err
}

// fillTables makes images like those of the embedded server. Glance itself would need
// 60 ms for each.
const fillTables = `
insert into images (id, name, disk_format, container_format, size, virtual_size, status, visibility, checksum,
  os_hash_algo, os_hash_value, min_disk, min_ram, owner, protected, os_hidden, created_at, updated_at, deleted)
select gen_random_uuid()::text, 'debian-12-server-amd64-' || lpad(i::text, 6, '0'), 'qcow2', 'bare', 4000000000 + i, 8000000000,
  'active', 'shared', md5(i::text), 'sha512', encode(sha512(i::text::bytea), 'hex'), 10, 0, :'owner', false, false,
  timestamp '2024-01-01' + i / 7 * interval '1 second', timestamp '2024-01-01' + (i / 7 + 4) * interval '1 second', false
from generate_series(0, :count - 1) i;
insert into image_properties (image_id, name, value, created_at, updated_at, deleted)
select id, property.name, property.value, created_at, updated_at, false from images, (values ('os_distro', 'debian'),
  ('hw_qemu_guest_agent', 'yes'), ('pipeline_build_number', 'nightly-build-20240101')) property (name, value);
insert into image_locations (image_id, value, meta_data, status, created_at, updated_at, deleted)
select id, 'file://' || :'store' || '/' || id, '{}', 'active', created_at, updated_at, false from images;
analyze;
`

// fill puts images into the tables of a Glance that has none. There are no bytes behind them.
func (l *lab) fill(ctx context.Context, s *site, count int) error {
	socket := []string{"-h", filepath.Join(s.dir, "db", "sock"), "-U", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1"}
	owner, err := l.command(ctx, "psql", append(socket, "-d", "keystone", "-c", "select id from project where name = 'demo'")...).Output()
	if err != nil {
		return fmt.Errorf("ask for the project's id: %w", err)
	}
	fill := l.command(ctx, "psql", append(socket, "-d", "glance", "-v", "owner="+strings.TrimSpace(string(owner)),
		"-v", fmt.Sprintf("count=%d", count), "-v", "store="+filepath.Join(s.dir, s.data))...)
	fill.Stdin = strings.NewReader(fillTables)
	if out, err := fill.CombinedOutput(); err != nil {
		return fmt.Errorf("fill the tables: %w: %s", err, out)
	}
	return nil
}
