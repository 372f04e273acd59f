"""Files that are written to hold a scanner up, all scanned in this process: ``python -m tests.scan.hostile``.

It prints how many findings each file has and how the reading of it ended.
"""

from __future__ import annotations

import sys

from tallyfy_async.scan.effort import Effort
from tallyfy_async.scan.source import Source
from tallyfy_async.scan.tree import findings_of

_SIZE = 200_000
_DENSE = 45_000
_OLD = "'/organizations/'+o+'/role'"


def again(text: str, head: str = "// tallyfy ") -> str:
    """Return so many repetitions on one line."""
    return head + text * (_DENSE // len(text))


def assigned(name: str, times: int) -> str:
    """Return a function in which each name stands for many of the one before."""
    steps = "".join(f"  a{number + 1} = {'+'.join([f'a{number}'] * times)}\n" for number in range(14))
    return f"# tallyfy\ndef f():\n  a0 = '/organizations/'\n{steps}  client.get({name})\n"


FILES = {
    "calls.js": again(f"fetch({_OLD});"),
    "words.js": again("'/countries',"),
    "other_methods.js": again("put('/organizations/'+o+'/billing-info');") * 3,
    "words.txt": again("organizations/"),
    "host.txt": "tallyfy http://" + "$a" * 45 + " x/organizations/{org}/role",
    "password.txt": "tallyfy " + "password=" * (_SIZE // 9),
    "calls.py": again(f"client.get({_OLD});", "# tallyfy\n"),
    "accents.py": again("client.get('/organizations/ä'+o+'/role');", "# tallyfy\nx='ä';"),
    "one_name.py": "# tallyfy\ndef f():\n" + "  a = '/organizations/' + b; g(a)\n" * 1_500,
    "doubled.py": assigned("a14", 20),
    "chain.py": "# tallyfy organizations\n" + ("x = 'a'+" + "+".join("a" * 400) + "\n") * 50,
    "other_chain.py": "# tallyfy organizations\n" + ("x = " + "+".join("a" * 400) + "+'a'\n") * 50,
    "decorators.py": "# tallyfy organizations\n" + "@a\n" * 60_000 + "def f(): pass\n",
    "bases.py": "# tallyfy organizations\nx = '" + "/v1" * 60_000 + " x'\n",
    "headers.py": "# tallyfy\nH = {"
    + "'a':1," * 16_000
    + "}\n"
    + "get('https://go.tallyfy.com/api/x', headers=H)\n" * 300,
    "blank.yaml": "# tallyfy\n" + "\n" * _SIZE,
    "blank.json": "tallyfy" + "\n" * _SIZE,
    "colons.yaml": "openapi: 3\n# tallyfy\npaths:\n  '/x" + ":a" * 40 + "\n",
    "quotes.json": '{"openapi": 1, "tallyfy":"' + '\\"' * (_SIZE // 2),
    "deep.json": '{"openapi": "3", "tallyfy": ' + '["/organizations/{o}/role",' * 1_200,
    "deep.ipynb": '{"tallyfy": ' + '["/organizations/{o}/role",' * 1_200,
    "lines.ipynb": '{"cells":[{"cell_type":"code","source":["tallyfy organizations",' + '"\\n",' * 20_000 + '""]}]}',
    "script.json": '{"item":[{"request":1,"exec":["tallyfy",' + '"organizations",' * 4_000 + '""]}]}',
    "postman.json": '{"info":"tallyfy","item":['
    + '{"request":{"method":"GET","url":"{{b}}/organizations/:o/role"}},' * 2_000
    + "0]}",
    "openapi.yaml": "openapi: 3\n#tallyfy\npaths:\n" + "  /organizations/{o}/role:\n    get:\n" * 2_000,
}


def main() -> None:
    """Scan them."""
    for name, text in FILES.items():
        effort = Effort()
        findings = findings_of(name, Source(text=text), effort)
        sys.stdout.write(f"{name} {len(findings)} {'in part' if effort.spent else 'whole'}\n")


if __name__ == "__main__":
    main()
