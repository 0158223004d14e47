"""A slow model of the tree for comparison: pages are Python lists, every frame is visited one at a time."""

from __future__ import annotations

from xenp2m.arch import Arch
from xenp2m.p2m.bug import KernelBug
from xenp2m.rules import Rules

Leaf = list[int]
Mid = list[Leaf]


class ReferenceTree:
    """The tree of Linux up to 3.17, with pages recognised by object identity."""

    def __init__(self, rules: Rules, arch: Arch, mfns: list[int]) -> None:
        self.rules, self.arch = rules, arch
        self.size = arch.entries_per_page
        self.max = arch.max_p2m_pfn
        self.invalid = arch.invalid
        self.missing: Leaf = [self.invalid] * self.size
        self.identity: Leaf = [self.invalid] * self.size
        self.mid_missing: Mid = [self.missing] * self.size
        self.mid_identity: Mid = [self.identity] * self.size
        self.top: list[Mid] = [self.mid_missing] * self.size
        self.mid_missing_mfn: Mid = [self.missing] * self.size
        self.top_mfn: list[Mid] = [self.mid_missing_mfn] * self.size
        self.max_p2m_pfn = min(len(mfns), arch.max_domain_pages)
        self.warnings = 0
        self.budget: int | None = None
        for start in range(0, self.max_p2m_pfn, self.size):
            leaf = [*mfns[start : min(start + self.size, self.max_p2m_pfn)]]
            leaf += [self.invalid] * (self.size - len(leaf))
            top, mid, _ = self.index(start)
            if self.top[top] is self.mid_missing:
                self.top[top] = [self.missing] * self.size
            self.top[top][mid] = leaf
        self.build_frame_list()

    def index(self, pfn: int) -> tuple[int, int, int]:
        if pfn >= self.max:
            raise KernelBug("reference")
        return pfn // self.size**2, pfn // self.size % self.size, pfn % self.size

    def get(self, pfn: int) -> int:
        if pfn >= self.max:
            return pfn | self.arch.identity_bit if self.rules.high_identity else self.invalid
        top, mid, index = self.index(pfn)
        leaf = self.top[top][mid]
        return pfn | self.arch.identity_bit if leaf is self.identity else leaf[index]

    def set_inner(self, pfn: int, word: int) -> bool:
        if pfn >= self.max:
            if word != self.invalid:
                raise KernelBug("reference")
            return True
        top, mid, index = self.index(pfn)
        if word != self.invalid and word & self.arch.identity_bit:
            if self.rules.compact_mid:
                if self.top[top] is self.mid_identity:
                    return True
                if self.top[top] is self.mid_missing:
                    self.top[top] = self.mid_identity
                    return True
            if self.top[top][mid] is self.identity:
                return True
            if self.top[top][mid] is self.missing:
                self.top[top][mid] = self.identity
                return True
        if self.top[top][mid] is self.missing:
            return word == self.invalid
        self.top[top][mid][index] = word
        return True

    def set(self, pfn: int, word: int) -> bool:
        return self.set_inner(pfn, word) or (self.alloc(pfn) and self.set_inner(pfn, word))

    def _page(self) -> bool:
        if self.budget is None:
            return True
        self.budget -= 1
        return self.budget >= 0

    def alloc(self, pfn: int) -> bool:
        top, mid, _ = self.index(pfn)
        if self.top[top] is self.mid_missing:
            if not self._page():
                return False
            self.top[top] = [self.missing] * self.size
        if self.top_mfn[top] is self.mid_missing_mfn:
            if not self._page():
                return False
            self.top_mfn[top] = [self.missing] * self.size
        if self.top[top][mid] is self.missing or self.top[top][mid] is self.identity:
            if not self._page():
                return False
            self.top[top][mid] = self.top_mfn[top][mid] = [self.invalid] * self.size
        return True

    def early_mid(self, pfn: int) -> None:
        top, _, _ = self.index(pfn)
        if self.top[top] is self.mid_missing:
            self.top[top] = [self.missing] * self.size
        if self.top_mfn[top] is self.mid_missing_mfn:
            self.top_mfn[top] = [self.missing] * self.size

    def early_leaf(self, pfn: int, check_boundary: bool) -> bool:
        if check_boundary and pfn % self.size == 0:
            return False
        top, mid, _ = self.index(pfn)
        if self.top[top][mid] is self.identity:
            self.warnings += 1
        if self.top[top][mid] is not self.missing:
            return False
        self.top[top][mid] = [self.invalid] * self.size
        if self.top_mfn[top][mid] is not self.missing:
            self.warnings += 1
        self.top_mfn[top][mid] = self.top[top][mid]
        return True

    def reuse(self, set_pfn: int) -> bool:
        if set_pfn % self.size:
            return False
        for pfn in range(0, self.arch.max_domain_pages, self.size):
            top, mid, _ = self.index(pfn)
            leaf = self.top[top][mid]
            if self.top[top] is self.mid_missing or leaf is self.missing or leaf is self.identity:
                continue
            own = leaf == [(pfn + index) | self.arch.identity_bit for index in range(self.size)]
            if not own and leaf != [self.invalid] * self.size:
                continue
            self.top[top][mid] = self.identity if own else self.missing
            self.top_mfn[top][mid] = self.missing
            top, mid, _ = self.index(set_pfn)
            if self.top[top][mid] is not self.missing:
                self.warnings += 1
                return False
            leaf[:] = [self.invalid] * self.size
            self.top[top][mid] = self.top_mfn[top][mid] = leaf
            return True
        return False

    def early_set(self, pfn: int, word: int) -> bool:
        if self.set_inner(pfn, word):
            return True
        self.early_mid(pfn)
        if not self.reuse(pfn) and not self.early_leaf(pfn, False):
            return False
        return self.set_inner(pfn, word)

    def set_phys_range_identity(self, start: int, end: int) -> int:
        if start >= self.max or (end >= self.max and not self.rules.clamp_identity_range) or start > end:
            return 0
        end = min(end, self.max)
        step = self.size**2
        if self.rules.compact_mid:
            for pfn in (start, end):
                if pfn % step:
                    self.early_mid(pfn)
                    if pfn % self.size:
                        self.early_leaf(pfn, False)
        else:
            for pfn in range(start // step * step, -(-end // step) * step, step):
                self.early_mid(pfn)
            for pfn in (start, end):
                if pfn < self.max:
                    self.early_leaf(pfn, True)
        pfn = start
        while pfn < end:
            if not self.set_inner(pfn, pfn | self.arch.identity_bit):
                break
            top, mid, _ = self.index(pfn)
            pfn += 1
            if self.rules.skip_identity:
                if self.top[top] is self.mid_identity:
                    pfn = -(-pfn // step) * step
                elif self.top[top][mid] is self.identity:
                    pfn = -(-pfn // self.size) * self.size
        if pfn != end:
            self.warnings += 1
        return pfn - start

    def build_frame_list(self) -> None:
        for pfn in range(0, self.max_p2m_pfn, self.size):
            top, mid, _ = self.index(pfn)
            if self.top[top] is self.mid_missing:
                continue
            if self.top_mfn[top] is self.mid_missing_mfn:
                self.top_mfn[top] = [self.missing] * self.size
            self.top_mfn[top][mid] = self.top[top][mid]

    def tool_word(self, pfn: int) -> int:
        top, mid, index = self.index(pfn)
        return self.top_mfn[top][mid][index]

    def counts(self) -> dict[str, int]:
        mids = list({id(mid): mid for mid in self.top}.values())
        private = [mid for mid in mids if mid is not self.mid_missing and mid is not self.mid_identity]
        leaves = [leaf for mid in private for leaf in mid]
        return {
            "top_missing": sum(mid is self.mid_missing for mid in self.top),
            "top_identity": sum(mid is self.mid_identity for mid in self.top),
            "mid_pages": len(private),
            "leaf_missing": sum(leaf is self.missing for leaf in leaves),
            "leaf_identity": sum(leaf is self.identity for leaf in leaves),
            "mid_mfn_pages": sum(mid is not self.mid_missing_mfn for mid in self.top_mfn),
            "identity_leaf_dirty": sum(word != self.invalid for word in self.identity),
            "missing_leaf_dirty": sum(word != self.invalid for word in self.missing),
            "identity_mid_dirty": sum(leaf is not self.identity for leaf in self.mid_identity),
            "missing_mid_dirty": sum(leaf is not self.missing for leaf in self.mid_missing),
        }

    def debugfs(self) -> list[str]:
        lines = []
        last = self.arch.max_domain_pages - 1
        type_start = level_start = 0
        old_type = old_level = ""
        for pfn in range(last + 1):
            level, kind = self._debugfs_entry(pfn) if pfn < last else ("abnormal", "abnormal")
            if pfn == 0:
                old_level, old_type = level, kind
            if kind != old_type:
                lines.append(f" [{type_start:#x}->{pfn:#x}] {old_type}")
                type_start, old_type = pfn, kind
            if level != old_level:
                lines.append(f" [{level_start:#x}->{pfn:#x}] level {old_level}")
                level_start, old_level = pfn, level
        return lines

    def _debugfs_entry(self, pfn: int) -> tuple[str, str]:
        top, mid, index = self.index(pfn)
        leaf = self.top[top][mid]
        if self.top[top] is self.mid_missing:
            return "top", "missing"
        if leaf is self.identity:
            return "middle", "identity"
        if leaf is self.missing:
            return "middle", "missing"
        types = {0: "abnormal", pfn | self.arch.identity_bit: "identity", self.invalid: "missing"}
        return "entry", types.get(leaf[index], "pfn")
