package catalog

import (
	"context"
	"slices"

	"github.com/imagefs/imagefs/image"
)

// shared reports that the members of an image can be seen and changed.
func (s *service) shared(op, id string) error {
	if img, ok := s.images[id]; !ok {
		return &image.Error{Op: op, Image: id, Kind: image.NotFound}
	} else if img.Visibility != image.VisibilityShared {
		return &image.Error{Op: op, Image: id, Kind: image.Forbidden}
	}
	return nil
}

func (s *service) Members(ctx context.Context, id string) ([]image.Member, error) {
	if err := s.enter(ctx, "members "+id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.members[id]), s.shared("members", id)
}

func (s *service) AddMember(ctx context.Context, id, project string) error {
	if err := s.enter(ctx, "share "+id+" "+project); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.shared("share", id); err != nil {
		return err
	}
	s.members[id] = append(s.members[id], image.Member{Project: project, Status: "pending"})
	return nil
}

func (s *service) RemoveMember(ctx context.Context, id, project string) error {
	if err := s.enter(ctx, "unshare "+id+" "+project); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.shared("unshare", id); err != nil {
		return err
	}
	s.members[id] = slices.DeleteFunc(slices.Clone(s.members[id]), func(m image.Member) bool { return m.Project == project })
	return nil
}
