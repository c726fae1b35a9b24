package ciba_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/approval"
	"github.com/steward-iam/steward/shared/catalogue"
	"github.com/steward-iam/steward/shared/ciba"
	"github.com/steward-iam/steward/shared/label"
)

func messageOf(operation string, target, party approval.Ref, args map[string]string) ciba.Message {
	return ciba.Message{Operation: operation, Phrase: approval.Phrase(operation), Names: approval.Names(target, party, args), Code: "K7QX"}
}

func ref(kind catalogue.Target, name string) approval.Ref {
	if name == "" {
		return approval.Ref{}
	}
	return approval.NewRef(kind, "id of "+name, name)
}

func TestBindingMessage(t *testing.T) {
	const user, group, app = catalogue.TargetUser, catalogue.TargetGroup, catalogue.TargetApp
	long := strings.Repeat("engineering-", 10)
	for _, tc := range []struct {
		operation       string
		target, party   approval.Ref
		args            map[string]string
		sentence, token string
	}{
		{"reset_password", ref(user, "alice@example.com"), approval.Ref{}, nil, "Reset password of alice at example.com. Code K7QX", "reset_password:alice-at-example.com#K7QX"},
		{"add_to_group", ref(group, "Engineering"), ref(user, "dave@example.com"), nil, "Add dave at example.com to group Engineering. Code K7QX", "add_to_group:Engineering,dave-at-example.com#K7QX"},
		{"assign_app", ref(app, "Figma"), ref(group, "Support"), nil, "Assign group Support to app Figma. Code K7QX", "assign_app:Figma,group:Support#K7QX"},
		{"assign_app", ref(app, "Figma"), ref(user, "support"), nil, "Assign person support to app Figma. Code K7QX", "assign_app:Figma,support#K7QX"},
		{"delete_group", ref(group, "Bathe house"), approval.Ref{}, nil, "Delete group Bathe house. Code K7QX", "delete_group:Bathe_house#K7QX"},
		{"create_group", approval.Ref{}, approval.Ref{}, map[string]string{"name": "Design Team"}, "Create group Design Team. Code K7QX", "create_group:Design_Team#K7QX"},
		{"create_group", approval.Ref{}, approval.Ref{}, map[string]string{"name": "Design", "description": "All of us"}, "Create group Design with description #KE77N. Code K7QX", "create_group:Design,#KE77N#K7QX"},
		{"rename_group", ref(group, "a:b#c,d"), approval.Ref{}, map[string]string{"new_name": "x"}, "Rename group a:b_c,d #X3WKN to x. Code K7QX", "rename_group:a_b_c_d#X3WKN,x#K7QX"},
		{"suspend", ref(user, long), approval.Ref{}, nil, "Suspend account of person engineering-engine.. #HFFRW. Code K7QX", "suspend:engineering-engineering-engineering-enginee..#HFFRW#K7QX"},
		{"add_to_group", ref(group, long), ref(user, "dave@example.com"), nil, "Add dave at exa.. #63DNP to group engineerin.. #AU7GF. Code K7QX", "add_to_group:engineering-engine..#AU7GF,dave-at-example.com#K7QX"},
		{"remove_from_group", ref(group, long), ref(user, long), nil, "Remove person engin.. #HFFRW from group engi.. #AU7GF. Code K7QX", "remove_from_group:engineering-..#AU7GF,engineering-..#HFFRW#K7QX"},
		{"delete_group", ref(group, "Финансы"), approval.Ref{}, nil, "Delete group #J6VHD. Code K7QX", "delete_group:#J6VHD#K7QX"},
		{"delete_group", ref(group, "Büro 7 (neu)"), approval.Ref{}, nil, "Delete group B_ro 7 _neu_ #GAA6D. Code K7QX", "delete_group:B_ro_7__neu_#GAA6D#K7QX"},
		{"delete_group", ref(group, "R&D"), approval.Ref{}, nil, "Delete group R_D #RFEKD. Code K7QX", "delete_group:R_D#RFEKD#K7QX"},
		{"delete_group", ref(group, "R/D"), approval.Ref{}, nil, "Delete group R_D #JH649. Code K7QX", "delete_group:R_D#JH649#K7QX"},
		{"delete_group", ref(group, "Fin\u200bance"), approval.Ref{}, nil, "Delete group Finance #MXQHF. Code K7QX", "delete_group:Finance#MXQHF#K7QX"},
		{"delete_group", ref(group, "Finance").Marked(), approval.Ref{}, nil, "Delete group Finance #YDRYP. Code K7QX", "delete_group:Finance#YDRYP#K7QX"},
		{"delete_group", ref(group, "Finance. Code AAAA"), approval.Ref{}, nil, "Delete group Finance. Code AAAA #JCMMA. Code K7QX", "delete_group:Finance._Code_AAAA#JCMMA#K7QX"},
		{"add_to_group", ref(group, "b"), ref(user, "a to group b"), nil, "Add person a to group b #KDRAJ to group b. Code K7QX", "add_to_group:b,a_to_group_b#KDRAJ#K7QX"},
		{"rename_group", ref(group, long), approval.Ref{}, map[string]string{"new_name": long, "description": long}, "Rename group #AU7GF to #AEXX4 with description #QKHWX. Code K7QX", "rename_group:engineering..#AU7GF,engineering..#AEXX4,#QKHWX#K7QX"},
	} {
		m := messageOf(tc.operation, tc.target, tc.party, tc.args)
		for style, want := range map[ciba.Style]string{ciba.StyleSentence: tc.sentence, ciba.StyleToken: tc.token} {
			if got := m.BindingMessage(style); got != want || len(got) > ciba.MaxBindingMessage {
				t.Errorf("got  %s (%d)\nwant %s", got, len(got), want)
			}
		}
	}
}

// twins are pairs of changes that a reader, or a phone's alphabet, might take for one another.
func TestDifferentChangesHaveDifferentMessages(t *testing.T) {
	const user, group, app = catalogue.TargetUser, catalogue.TargetGroup, catalogue.TargetApp
	names := []string{
		"Finance", "finance", "Finance.", "Finance ", "\u202eFinance", "Fin\u200bance", "Finance\u200b", "Finance\ufe0f", "Fin\u0430nce", "Ｆinance", "Finance #AAAA", "Finance #AAAA ",
		"R&D", "R/D", "R_D", "R D", "R  D", "R\u00a0D", "ops@corp", "ops-at-corp", "ops at corp", "ops@corp ", "a..b", "a",
		"Финансы", "Продажи", "財務", "营销", "日本", "עברית", "engineering-and-operations-of-the-northern-region-1", "engineering-and-operations-of-the-northern-region-2",
		"alice@example.com", "alice@example.com (yourself)", "a to the group b", "a to group b", "b to group b", "b", "person a", "group a", "the person a", "a. Code K7QX", "Design with description x",
		`Design" with the description "x`, "“Finance”", "'Finance'", "a–b", "a-b", "", "\u200b",
	}
	sentences, pushes := map[string]string{}, map[string]string{}
	add := func(operation string, target, party approval.Ref, args map[string]string) {
		id := fmt.Sprintf("%s %s:%s %s:%s %q", operation, target.Type, target.ID, party.Type, party.ID, args)
		seen := func(in map[string]string, said string) {
			if other, ok := in[said]; ok && other != id {
				t.Errorf("%s\nsays both %s\nand %s", said, other, id)
			}
			in[said] = id
		}
		seen(sentences, approval.Sentence(operation, target, party, args))
		m := messageOf(operation, target, party, args)
		for _, style := range []ciba.Style{ciba.StyleSentence, ciba.StyleToken} {
			got := m.BindingMessage(style)
			if seen(pushes, got); len(got) > ciba.MaxBindingMessage || strings.Trim(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_.,:# ") != "" || !strings.HasSuffix(got, "K7QX") {
				t.Errorf("%s (%d)", got, len(got))
			}
		}
	}
	id := func(kind catalogue.Target, name string) approval.Ref {
		return approval.NewRef(kind, fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:20], name)
	}
	for _, f := range catalogue.Functions() {
		for _, op := range f.Operations {
			if !f.Elevated {
				continue
			}
			for _, a := range names {
				switch f.Name {
				case "manage_user":
					add(op.ID, id(user, a), approval.Ref{}, nil)
				case "manage_group":
					switch op.ID {
					case "create_group":
						add(op.ID, approval.Ref{}, approval.Ref{}, map[string]string{"name": a})
						for _, b := range names {
							add(op.ID, approval.Ref{}, approval.Ref{}, map[string]string{"name": a, "description": b})
						}
					case "rename_group":
						for _, b := range names {
							add(op.ID, id(group, a), approval.Ref{}, map[string]string{"new_name": b})
							add(op.ID, id(group, a), approval.Ref{}, map[string]string{"new_name": b, "description": a})
						}
					default:
						add(op.ID, id(group, a), approval.Ref{}, nil)
						other := id(group, a+"'s twin of the same name")
						other.Label = id(group, a).Label
						add(op.ID, other.Marked(), approval.Ref{}, nil) // named by its id
					}
				default:
					for _, b := range names {
						add(op.ID, id(op.Target, a), id(user, b), nil)
						if op.Target == app {
							add(op.ID, id(app, a), id(group, b), nil)
						}
					}
				}
			}
		}
	}
}

// Names made of look-alikes, invisible characters and what a phone's alphabet lacks, the same ones each time.
func TestGeneratedLookAlikesHaveDifferentMessages(t *testing.T) {
	parts := []string{
		"a", "\u0430", "\u00e4", "a\u0308", "\uff41", " ", "\u00a0", "\u200b", "\u202e", "\ufe0f", "-", "\u2013", "_", "@", " at ", "-at-", "&", "/", ".", "..", "#", "to", "group", "\u05d0", "\u8ca1",
		strings.Repeat("long-", 9),
	}
	random := rand.New(rand.NewPCG(1, 2))
	name := func() string {
		var b strings.Builder
		for range 1 + random.IntN(4) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		return b.String()
	}
	names := map[string]bool{}
	for len(names) < 600 {
		names[name()] = true
	}
	said := map[string]string{}
	for _, other := range []string{"b", "a to group b", "\u200bb"} {
		for n := range names {
			for operation, parties := range map[string][2]approval.Ref{
				"delete_group": {ref(catalogue.TargetGroup, n), {}},
				"add_to_group": {ref(catalogue.TargetGroup, n), ref(catalogue.TargetUser, other)},
				"assign_app":   {ref(catalogue.TargetApp, other), ref(catalogue.TargetGroup, n)},
				"unassign_app": {ref(catalogue.TargetApp, other), ref(catalogue.TargetUser, n)},
			} {
				id := operation + " " + parties[0].ID + " " + parties[1].ID
				m := messageOf(operation, parties[0], parties[1], nil)
				for _, text := range []string{
					approval.Sentence(operation, parties[0], parties[1], nil), m.BindingMessage(ciba.StyleSentence), m.BindingMessage(ciba.StyleToken),
				} {
					if first, ok := said[text]; ok && first != id {
						t.Errorf("%s\nsays both %q\nand %q", text, first, id)
					}
					said[text] = id
				}
			}
		}
	}
}

// Whatever things are called, the message is one that Auth0 takes, it ends with the code, and the sentence cannot be left.
func FuzzBindingMessage(f *testing.F) {
	f.Add("alice@example.com", "", "", "")
	f.Add(strings.Repeat("x", 200), strings.Repeat("é", 90), "\u202ey", "d")
	f.Add("\x00\xff", "#,:", "the ", "{target}[")
	f.Fuzz(func(t *testing.T, target, party, name, description string) {
		for _, op := range []string{"reset_password", "add_to_group", "rename_group", "assign_app", "create_group", "gone"} {
			args := map[string]string{"new_name": name, "name": name, "description": description}
			a, b := approval.NewRef(catalogue.TargetGroup, "00g1", target), approval.NewRef(catalogue.TargetUser, "00u1", party)
			m := messageOf(op, a, b, args)
			for style, end := range map[ciba.Style]string{ciba.StyleSentence: ". Code K7QX", ciba.StyleToken: "#K7QX"} {
				got := m.BindingMessage(style)
				if len(got) > ciba.MaxBindingMessage || !strings.HasSuffix(got, end) ||
					strings.Trim(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_.,:# ") != "" {
					t.Errorf("%q %q %q give %q", target, party, name, got)
				}
			}
			said := approval.Sentence(op, a, b, args)
			if clean, changed := label.Clean(said); changed {
				t.Errorf("%q, cleaned %q", said, clean)
			}
		}
	})
}
