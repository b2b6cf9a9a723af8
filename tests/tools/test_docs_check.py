"""The check of the pages finds each kind of fault in a small repository of the test's own."""

import shutil
import subprocess
from pathlib import Path

import pytest

import docs_check
from docs_pages import Block, Page, statements, tracked
from docs_sandbox import outcome, run_script, variables
from docs_text import check_blocks, check_flags, check_links, check_repeated, known_flags
from forked import ROOT


@pytest.fixture
def site(tmp_path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "code").mkdir()
    return tmp_path


def write(site: Path, **pages: str) -> list[Page]:
    for name, text in pages.items():
        (site / f"{name}.md").write_text(text)
    subprocess.run(["git", "add", "--all"], cwd=site, check=True)
    return [Page(site, f"{name}.md") for name in pages]


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("[a](#two-words)", ""),
        ("[a](other.md#what--who-says-so-1)", ""),
        ("[a](other.md)", ""),
        ("![a\nb](other.md)", ""),
        ("[a](https://example.org/x_(y))", ""),
        ("[`a[0]`](gone.md)", "is no tracked file"),
        ("[a](code)", "is no tracked file"),  # git keeps no empty folder
        ("[a](#three)", "has no such heading; it has page, two-words"),
        ("[a](../x.md)", "leads out of the repository"),
        ("[a](htp://example.org)", "is of an unknown kind"),
        ("[![a](gone.png)](other.md)", "is no tracked file"),
        ("`[a](gone.md)`", ""),
    ],
)
def test_links_lead_somewhere(site, link, told):
    heading = "# What — *who* says `so`?\n"
    pages = write(site, page=f"# Page\n## Two words\n{link}\n", other=2 * heading)
    faults = check_links(site, pages).faults
    assert [told in fault.told for fault in faults] == ([True] if told else [])


def test_a_sentence_of_ten_words_is_told_once(site):
    one = "One two three four five six seven\neight *nine* ten. "
    short = "One two three four five six seven eight nine. "
    page, other = f"{one}{short}\n\n| {one.replace(chr(10), ' ')} |\n", f"{short} {one}"
    faults = check_repeated(write(site, page=page, other=other))
    assert {str(fault.place) for fault in faults} == {"page.md:4", "other.md:1"}
    assert all("is told at page.md:1 as well: one two" in fault.told for fault in faults)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("```\nx\n```", "has no language"),
        ("```bash\n# nothing\nA=1\n```", "holds no command"),
        ("```bash now\nls\n```", "unknown mark now"),
        ("```python plan\n1\n```", "unknown mark plan"),
        ("```python\nimport torch, utils.gone\n```", "imports utils.gone"),
        ("```python\nif:\n```", "no Python"),
        ('```python\n   "a": Design(\n       x=1,\n   )\n```', ""),
        ("```bash plan\nls\n```", ""),
        ("text\n\n    python x.py\n", "an indented command"),
        ("```text\nx", "has no end"),
    ],
)
def test_blocks_say_what_they_are(site, block, told):
    faults = check_blocks(ROOT, write(site, page=f"# A\n\n{block}\n"))
    assert [told in fault.told for fault in faults] == ([True] if told else [])


def test_flags_in_sentences_are_those_of_a_program(site):
    known = known_flags(ROOT)
    pages = write(site, page="`--num_epochs 3`, `--epochs`, `--k400_big`, `--array=1`, `--nmu 3`\n")
    assert [f.told for f in check_flags(pages, known.__contains__)] == [
        "no program has the flag --nmu"
    ]


def test_statements_are_whole_and_count_their_commands():
    lines = ["# a", "A='1 2'", "", "for X in 1 2; do", "    ls \\", "        $X", "done", 'B="x y"']
    found = statements(Block("bash", "", 10, lines))
    assert [(s.line, s.commands) for s in found] == [(11, 0), (13, 1), (17, 0)]


def test_a_failure_within_a_loop_is_told_with_its_output(tmp_path, monkeypatch):
    """The shell's own part, without the server of programs."""
    from contextlib import nullcontext

    import docs_sandbox

    (tmp_path / "repository").mkdir()
    (tmp_path / "records").mkdir()
    monkeypatch.setattr(docs_sandbox, "programs", lambda folder: nullcontext())
    texts = {3: "A=5", 4: "for X in 1 $A; do\nls gone$X\ntrue\ndone", 9: "echo $A; true"}
    script = [docs_sandbox.HEAD]
    script += [docs_sandbox.ONE.format(text=text, line=line) for line, text in texts.items()]
    run_script(tmp_path, "\n".join(script))
    records = tmp_path / "records"
    assert outcome(records, 3, texts[3])[1] == outcome(records, 9, texts[9])[1] == []
    assert (records / "9.out").read_text() == "5\n"
    (told,) = outcome(records, 4, texts[4])[1]
    assert told.startswith("status 2 of: ls gone$X\n")
    assert "gone5" in told
    assert outcome(records, 12, "never")[1] == ["was not reached: never"]
    assert variables(tmp_path)["HOME"] == str(tmp_path / "home")


@pytest.mark.slow
def test_commands_run_in_a_sandbox_and_faults_end_with_1(tmp_path, capsys):
    """A page of this repository's own program, in a copy that has no other page."""
    root = tmp_path / "root"
    for name in (name for name in tracked(ROOT) if not name.endswith(".md")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)
    subprocess.run(["git", "init", "-q", root], check=True)
    good = (
        "RUN=OUT/gabors-64_r18_dpc-rnn_bs8_lr0.001_nseq2_pred1_len5_train-all_seed1\n"
        "python run_model.py --dataset gabors --img_dim 64 --batch_size 8 --num_seq_in 2 \\\n"
        "    --pred_step 1 --num_epochs 1 --seed 1 --output_dir OUT\n"
        "python run_model.py --resume $RUN --num_epochs 2\n"
    )
    wrong = "python run_model.py --resume $RUN --num_epoch 2\nsbatch slurm/gone.sh\n"
    write(root, README=f"```bash\n{good}```\n```bash plan\nmake tset\n{wrong}```\n")
    assert docs_check.main(["--root", str(root)]) == 1
    told = capsys.readouterr().out
    assert "README.md:8: status 2 of: make -n" not in told
    assert "README.md:8: status 2 of: make tset" in told
    assert "README.md:9: status 2 of: python run_model.py --resume $RUN --num_epoch 2" in told
    assert "slurm/gone.sh: No such file" in told
    assert told.splitlines()[-1].startswith("5 commands on 1 pages run, 0 links resolve; 3 faults")
