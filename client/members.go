package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/imagefs/imagefs/image"
)

// Members returns the projects that the image is shared with. Kinds: NotFound,
// Forbidden (the image is not shared, or not ours), and those of every request.
func (c *Client) Members(ctx context.Context, id string) ([]image.Member, error) {
	if err := checkID(opMembers, id); err != nil {
		return nil, err
	}
	r := &request{op: opMembers, image: id, method: http.MethodGet, path: "/images/" + id + "/members", ok: []int{http.StatusOK}, limit: maxRecord}
	a, err := c.fetch(ctx, r, idempotent)
	if err != nil {
		return nil, err
	}
	var list struct {
		Members []struct {
			Project string `json:"member_id"`
			Status  string `json:"status"`
		} `json:"members"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, r.fail(image.UnexpectedAnswer, err)
	}
	if list.Members == nil { // none is an empty list
		return nil, r.fail(image.UnexpectedAnswer, errors.New("no list of members"))
	}
	members := make([]image.Member, 0, len(list.Members))
	for _, m := range list.Members {
		if m.Project == "" {
			return nil, r.fail(image.UnexpectedAnswer, errors.New("a member without a project"))
		}
		members = append(members, image.Member{Project: m.Project, Status: m.Status})
	}
	return members, nil
}

// AddMember shares the image with a project; that it is shared already is
// success. Kinds as Members, and Quota.
func (c *Client) AddMember(ctx context.Context, id, project string) error {
	if err := checkID(opAddMember, id); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"member": project})
	if err != nil {
		return &image.Error{Op: string(opAddMember), Image: id, Kind: image.Rejected, Err: err}
	}
	a, err := c.fetch(ctx, &request{
		op: opAddMember, image: id, method: http.MethodPost, path: "/images/" + id + "/members",
		contentType: typeJSON, body: body, ok: []int{http.StatusOK}, limit: maxRecord,
	}, idempotent)
	if image.Is(err, image.Busy) {
		members, listErr := c.Members(ctx, id)
		if listErr != nil {
			return err
		}
		for _, m := range members {
			if m.Project == project {
				return nil
			}
		}
	}
	if err == nil {
		c.logChange(ctx, opAddMember, id, a.requestID)
	}
	return err
}

// RemoveMember ends the share with a project; that there is none is success.
// Kinds as Members, without NotFound.
func (c *Client) RemoveMember(ctx context.Context, id, project string) error {
	if err := checkID(opRemoveMember, id); err != nil {
		return err
	}
	a, err := c.fetch(ctx, &request{
		op: opRemoveMember, image: id, method: http.MethodDelete, path: "/images/" + id + "/members/" + url.PathEscape(project),
		ok: []int{http.StatusNoContent}, limit: maxErrorBody,
	}, idempotent)
	if image.Is(err, image.NotFound) {
		return nil
	}
	if err == nil {
		c.logChange(ctx, opRemoveMember, id, a.requestID)
	}
	return err
}
