package imageserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/imagefs/imagefs/image"
)

// maxMembers is Glance's default quota of one image.
const maxMembers = 128

func (m *member) view(id string) map[string]any {
	return map[string]any{
		"member_id": m.Project, "image_id": id, "status": m.Status,
		"created_at": isoTime(m.CreatedAt), "updated_at": isoTime(m.UpdatedAt), "schema": "/v2/schemas/member",
	}
}

// onlyShared is why other images have no members.
const onlyShared = "Only shared images have members."

// shared returns a visible image that can have members; denied is the sentence
// for those that cannot.
func (s *Server) shared(id, denied string, c caller) (*record, error) {
	rec := s.index.get(id)
	if rec == nil || !rec.visibleTo(c) {
		return nil, refuse(http.StatusNotFound, "Image %s not found.", id)
	}
	if rec.Visibility != image.VisibilityShared {
		return nil, refuse(http.StatusForbidden, "%s", denied)
	}
	return rec, nil
}

func noMember(id, project string) *problem {
	return refuse(http.StatusNotFound, "%s not found in the member list of the image %s.", project, id)
}

// seenBy reports whether a caller may see the member: owners see all of them,
// a member sees itself.
func (m *member) seenBy(rec *record, c caller) bool {
	return rec.mutableBy(c) || m.Project == c.project
}

func (s *Server) listMembers(w http.ResponseWriter, r *request, id string) error {
	rec, err := s.shared(id, fmt.Sprintf("Not allowed to list members for image %s: %s", id, onlyShared), r.caller)
	if err != nil {
		return err
	}
	list := []map[string]any{}
	for i := range rec.Members {
		if m := &rec.Members[i]; m.seenBy(rec, r.caller) {
			list = append(list, m.view(id))
		}
	}
	return answer(w, http.StatusOK, map[string]any{"members": list, "schema": "/v2/schemas/members"})
}

func (s *Server) showMember(w http.ResponseWriter, r *request, id, project string) error {
	rec, err := s.shared(id, onlyShared, r.caller)
	var p *problem
	if errors.As(err, &p) { // 403 would tell that there is an image
		return &problem{status: http.StatusNotFound, text: p.text}
	}
	m := rec.sharedWith(project)
	if m == nil || !m.seenBy(rec, r.caller) {
		return noMember(id, project)
	}
	return answer(w, http.StatusOK, m.view(id))
}

func (s *Server) addMember(w http.ResponseWriter, r *request, id string) error {
	project, err := s.bodyField(w, r, "member", "image_id", "Member to be added not specified", "Member can't be empty")
	if err != nil {
		return err
	}
	var added member
	denied := fmt.Sprintf("Not allowed to create members for image %s.", id)
	err = s.changeMembers(id, denied, r.caller, func(rec *record) error {
		switch {
		case !rec.mutableBy(r.caller):
			return refuse(http.StatusForbidden, "%s", denied)
		case rec.sharedWith(project) != nil:
			return refuse(http.StatusConflict, "Member %s is duplicated for image %s", project, id)
		case len(rec.Members) >= maxMembers:
			return refuse(http.StatusRequestEntityTooLarge, "Image member limit exceeded for image %s: Attempted: %d, Maximum: %d", id, maxMembers+1, maxMembers)
		}
		if err := checkText("member", project, maxName); err != nil {
			return err
		}
		added = member{Project: project, Status: "pending", CreatedAt: s.now(), UpdatedAt: s.now()}
		rec.Members = append(rec.Members, added)
		return nil
	})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, added.view(id))
}

// updateMember sets whether a member has accepted: its own doing, not the owner's.
func (s *Server) updateMember(w http.ResponseWriter, r *request, id, project string) error {
	status, err := s.bodyField(w, r, "status", "status", "Status not specified", "Status not specified")
	if err != nil {
		return err
	}
	var updated member
	denied := fmt.Sprintf("Not allowed to update members for image %s.", id)
	err = s.changeMembers(id, denied, r.caller, func(rec *record) error {
		m := rec.sharedWith(project)
		switch {
		case rec.ownedBy(r.caller) && !r.caller.admin:
			return refuse(http.StatusForbidden, "%s", denied)
		case m == nil || m.Project != r.caller.project && !r.caller.admin:
			return noMember(id, project)
		case status != "pending" && status != "accepted" && status != "rejected":
			return refuse(http.StatusBadRequest, `Incorrect request: Status must be "pending", "accepted" or "rejected".`)
		}
		m.Status, m.UpdatedAt = status, s.now()
		updated = *m
		return nil
	})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, updated.view(id))
}

func (s *Server) removeMember(w http.ResponseWriter, r *request, id, project string) error {
	denied := fmt.Sprintf("Not allowed to delete members for image %s.", id)
	err := s.changeMembers(id, denied, r.caller, func(rec *record) error {
		if !rec.mutableBy(r.caller) {
			return refuse(http.StatusForbidden, "%s", denied)
		}
		at := slices.IndexFunc(rec.Members, func(m member) bool { return m.Project == project })
		if at < 0 {
			return noMember(id, project)
		}
		rec.Members = slices.Delete(rec.Members, at, at+1)
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// changeMembers edits the members of an image; its updated_at stays.
func (s *Server) changeMembers(id, denied string, c caller, edit func(*record) error) error {
	unlock := s.index.lock(id)
	defer unlock()
	old, err := s.shared(id, denied, c)
	if err != nil {
		return err
	}
	rec := old.clone()
	if err := edit(rec); err != nil {
		return err
	}
	return s.replace(rec)
}

// bodyField reads the one text that a member request carries.
func (s *Server) bodyField(w http.ResponseWriter, r *request, field, form, missing, blank string) (string, error) {
	body, err := s.readJSON(w, r)
	if err != nil {
		return "", err
	}
	fields, ok := body.(map[string]any)
	if !ok {
		return "", refuse(http.StatusBadRequest, `Expected a %s in the form: {"%s": "%s"}`, field, field, form)
	}
	if fields[field] == nil {
		return "", refuse(http.StatusBadRequest, "%s", missing)
	}
	text, ok := fields[field].(string)
	if !ok || text == "" {
		return "", refuse(http.StatusBadRequest, "%s", blank)
	}
	return text, nil
}
