"""Weights from files: what torch.save wrote is read, and nothing but tensors is."""

import base64
import collections
import hashlib
import io
import os
import pickle
import sys
import types
import zipfile
import zlib

import numpy as np
import pytest

from gan_jax.core.errors import BadInput
from gan_jax.metrics import weights

# torch.save of {"a": arange(6).reshape(2, 3).t(), "b": tensor(7), "c": half [1.5, -2], "d": a[1, 1:]}, by torch 2.13.0 in its
# two containers; zlib, base 85.
WRITTEN = {
  "zip": (
    "c-"
    "o~^J8#oK96vjWlemyRc%&^5puAG4q|Q5qmLdxoBqKEq0!1vA<G6{18~2<`5lBdtP%E*4#KMC37OZ>)5M^RxD4n`8FmPulsqK;k+EdP!;{WgA`#)S1eSQE!"
    "A#h-"
    "gfH5GON?lu5XR9)j6KhX&fscU4uC+lcilOVOf;6MiWS7jUYO2*cnu1serc02DmnlppLs~%wW=lvdr0GpoGSx~;)2k9v8%@KM)>AC>#pC554sPN|xu!zD4P"
    "gb{kkJGCPZkC&LJl%zAHFMVEf^FT1VhUr5Pc%O1;ZjG`nDkZs!j|HA$Y6=k6WM$jMTA6y+eH8Xw<sA!&XQVj?{x9h2SXWo1V5g#t=MFf+wv21)g$o+>`Z{"
    "F2`vrBn6|GgGO+ic%nDqgh*||Nt^2of@e$coE2DwF`KI%s55ozHO?=Kege5bAQx@O6oQvZ@N(+~yiyKhn6#=QnWO|>wVq$IPHkN^n>YtBE>g{AB~cWEp{0"
    "d+{v8$~yVx_)Q83j_bYjIYS7ju%$pk*;$+veUiO$Ep?=Q*wklkBn66E)F+BueFU8^-"
    "#)dmvy^Z=>9u3Ux~SbPe1X)HnaH82Vmy9O%HkZO=(75JNn(d{f<Lr7PNhs}i_6AV^i`g(|fTduB}<plo55e(R@8;kgI8~^a$!282(;wbuh=gl~NFh0Q1jN"
    "4IC;N$=7DA;BpdTZZy3?dL3pf~T<O9_18&?kV8^Apj|ZEwHDg23Nbd)QF{-"
    "4Z`i{?jZ`|NOr8aB%&_Kx)4MtXFTUriMG<xlE>~q*Vnz@t<b6LS`;gC=@dJxm=dZ6!PgTmrN$J`Ft+JrLt)*oy=!AE=yd-hJNqGv5&ark|JiiKAodt<bZS"
    "UcfgBw4uGf&xl4gw!^KPDY~o25$ubT4Ob#!Pvk^yKJYO6<-"
    "2vc*JG&<0f<N*BPw#rM&JJ*6e|oV=FV<PXZfx1_!KS=eXZ;PkuwNb69_Q{Xi<k>s3V;CxTND{)rc>U&>s@5nbH7X5_g{g|xL~ZwvDo%te>nn-"
    "jR{-vcI+QskK}s"
  ),
  "sequence": (
    "c-n1}%Wl*#6owNgGeZL{<xaVla?5N+bUMss16`mB$=n(?-c(U0F-"
    "=g2=OibUKpJT_t$=4>!IH<|b$A3M791ySxoE7|R_t@W|39{8?6Z^p`m*(N_3gJ;E1em8{==ei3Wh6|4a1n^3RS35e^2H`qB1ZkKrGTunjogqmsykq8L*GS"
    "p+$T@k$#bUkOf#%uwBuh#UfTYLW475(O;4wG`THo%~07cw76ZCq#2S-Dnlfd!g-"
    "lTGMCYlBt!>{wg;vwOv(s=g{bl{?)W7pY2o;}9G6KN`6#nO<^EpR0n2qoOAAwEuq(l?Q=F|-"
    "1^BvNbf6)YC}z|fJy;)X^!kJTVAz9Z<uRO;WUKiC;lwsKxW(B4EO3)s2jF~)wVjg)r#x7!JdI%~Cdv3n<{4FWtaAE~O20Q;?+zc1y09F#xJmRgL~pli;#q"
    "`q9-Oa;Azb)}_%ul091}18PaJIY;Sv!U5ie`MY#&y*xer%r@>PUu9$c@;5!|TB@!axn#&y}N+uYWeTN<-"
    "gV{Rkd@!)Pbg?nOwQvG)lgDAiN?pOQunIFBAHaCl6OxL=jpVFK&Fz1!Q=9#i&M_bpebvU!b*?44pZyJBM*<%_u>7zcQ{&n*==svgM"
  ),
}


@pytest.mark.parametrize("container", WRITTEN)
def test_what_torch_wrote_is_read(container, tmp_path):
  """Transposed, a scalar, half precision, and a part of another tensor's storage."""
  content = zlib.decompress(base64.b85decode(WRITTEN[container]))
  (tmp_path / "w.pth").write_bytes(content)
  found, digest = weights.read(tmp_path / "w.pth")
  assert digest == hashlib.sha256(content).hexdigest()
  assert list(found) == ["a", "b", "c", "d"]
  np.testing.assert_array_equal(found["a"], np.arange(6, dtype=np.float32).reshape(2, 3).T)
  np.testing.assert_array_equal(found["c"], np.array([1.5, -2], np.float16))
  np.testing.assert_array_equal(found["d"], np.array([4, 5], np.float32))
  assert found["b"].shape == ()
  assert found["b"] == 7
  for length in (10, len(content) // 2, len(content) - 9):
    (tmp_path / "w.pth").write_bytes(content[:length])
    with pytest.raises(BadInput, match=r"w\.pth"):
      weights.read(tmp_path / "w.pth")


class Tensor(collections.namedtuple("Tensor", "offset size stride")):
  """Pickled as torch pickles a tensor, of the storage '0'."""

  def __reduce__(self):
    torch = sys.modules["torch._utils"]
    return torch._rebuild_tensor_v2, (Storage(), self.offset, self.size, self.stride, False, collections.OrderedDict())


class Storage:
  pass


class Call(collections.namedtuple("Call", "function arguments")):
  """Pickled as a call."""

  def __reduce__(self):
    return self.function, self.arguments


class Writer(pickle.Pickler):
  def persistent_id(self, value):
    return ("storage", sys.modules["torch"].FloatStorage, "0", "cpu", 6) if isinstance(value, Storage) else None


@pytest.fixture
def write(tmp_path, monkeypatch):
  """A function (mapping, container) -> the path of a file of it, with one storage of six numbers."""
  top, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
  top.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
  utils._rebuild_tensor_v2 = lambda *rest: None
  utils._rebuild_tensor_v2.__module__ = "torch._utils"
  utils._rebuild_tensor_v2.__qualname__ = utils._rebuild_tensor_v2.__name__ = "_rebuild_tensor_v2"
  monkeypatch.setitem(sys.modules, "torch", top)
  monkeypatch.setitem(sys.modules, "torch._utils", utils)

  def dumped(value):
    file = io.BytesIO()
    Writer(file, protocol=2).dump(value)
    return file.getvalue()

  def write(mapping, container):
    path, storage = tmp_path / "w.pth", np.arange(6, dtype="<f4").tobytes()
    if container == "zip":
      with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", dumped(mapping))
        archive.writestr("w/data/0", storage)
    else:
      head = [weights.MAGIC, 1001, {"little_endian": True}, mapping, ["0"]]
      path.write_bytes(b"".join(dumped(part) for part in head) + (6).to_bytes(8, "little") + storage)
    return path

  return write


SOUND = Tensor(0, (2, 3), (3, 1))


@pytest.mark.parametrize("container", ["zip", "sequence"])
@pytest.mark.parametrize(
  ("mapping", "message"),
  [
    ({"a": Call(os.system, ("touch harmed",))}, r"would call (posix|nt)\.system"),
    ({"a": Call(eval, ("open('harmed', 'w')",))}, "would call .*eval"),
    ({"a": [SOUND, {"b": Call(os.mkdir, ("harmed",))}]}, r"would call (posix|nt)\.mkdir"),
    ({"a": Call(getattr, (Storage(), "x"))}, "would call .*getattr"),
    ({"a": Tensor(0, (3, 3), (3, 1))}, "beyond its storage of 6"),
    ({"a": Tensor(5, (2,), (1,))}, "beyond its storage of 6"),
    ({"a": Tensor(0, (2,), (-1,))}, "offset, size and stride"),
    ({"a": Tensor(0, (2**20, 2**20), (0, 0))}, "at most .* bytes of tensors"),
    ({"a": Tensor(0, (2, 3), (1,))}, "offset, size and stride"),
    ({"a": 1.0}, "expected a tensor for each name, got float"),
    ({1: SOUND}, "expected a tensor for each name"),
    ([SOUND], "tensors by name, got list|AttributeError"),
  ],
)
def test_anything_but_tensors_is_refused(mapping, message, container, write, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  path = write({"fine": SOUND} | mapping if isinstance(mapping, dict) else mapping, container)
  with pytest.raises(BadInput, match=message) as caught:
    weights.read(path)
  assert "\n" not in str(caught.value)
  assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("container", ["zip", "sequence"])
def test_tensors_of_a_hand_are_read(container, write):
  """So the refusals above are for what is in the file, and not for how it is written."""
  found = weights.read(write({"a": SOUND, "b": Tensor(1, (2, 2), (0, 2))}, container)).tensors
  np.testing.assert_array_equal(found["a"], np.arange(6).reshape(2, 3))
  np.testing.assert_array_equal(found["b"], [[1, 3], [1, 3]])


def test_files_of_another_kind_are_refused(tmp_path):
  path = tmp_path / "w.pth"
  with pytest.raises(BadInput, match="cannot read"):
    weights.read(path)
  for content, message in (
    (b"", "another kind"),
    (b"GIF89a", "another kind"),
    (pickle.dumps({"a": np.ones(2)}), r"would call numpy.*_reconstruct"),
    (pickle.dumps(3), "another kind"),
    (b"\x80\x02\x8a\xff", "got a file of another kind|Error"),
    (b"\x80\x02]r\xff\xff\xff\x7f.", "another kind"),  # a memo of 2^31 entries, 32 GB if it were reserved
  ):
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
      weights.read(path)
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("w/constants.pkl", b"")
  with pytest.raises(BadInput, match="TorchScript program"):
    weights.read(path)
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("picture.png", b"")
  with pytest.raises(BadInput, match=r"data\.pkl"):
    weights.read(path)
  begins = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
  with pytest.raises(BadInput, match="is a file of pictures"):
    weights.read(path, {begins: "a file of pictures"})


def test_safetensors_are_read_where_the_package_is_installed(tmp_path):
  numpy = pytest.importorskip("safetensors.numpy")
  given = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.int64([7])}
  numpy.save_file(given, tmp_path / "w.safetensors")
  found = weights.read(tmp_path / "w.safetensors").tensors
  assert found.keys() == given.keys()
  for name, value in given.items():
    np.testing.assert_array_equal(found[name], value)
  (tmp_path / "w.safetensors").write_bytes(b"no")
  with pytest.raises(BadInput, match="safetensors"):
    weights.read(tmp_path / "w.safetensors")


def test_another_networks_weights_are_refused():
  shapes = {"a": (2, 3), "b": (2,)}
  sound = {"a": np.ones((2, 3)), "b": np.ones(2), "a.num_batches_tracked": np.ones(())}
  weights.expect(sound, shapes)
  for found, message in (
    ({"a": np.ones((2, 3))}, "no b"),
    (sound | {"c": np.ones(2)}, "c, which this network does not have"),
    (sound | {"a": np.ones((3, 2))}, r"a of shape \[3, 2\] instead of \[2, 3\]"),
    (sound | {"b": np.array([1, np.nan])}, "not finite"),
  ):
    with pytest.raises(BadInput, match=message):
      weights.expect(found, shapes)
