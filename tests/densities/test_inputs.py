"""Inputs: every learned density and baseline has every setting, checks it alike, and describes itself."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.densities.inputs import Inputs, InputSettings

RNGS = {"rngs": nnx.Rngs(0)}
MAKERS = {
    "MLPDensity": lambda **s: lgn.MLPDensity(2, 2, (4,), **RNGS, **s),
    "StructuredDensity": lambda **s: lgn.StructuredDensity(2, 2, (4,), **RNGS, **s),
    "PositiveForm": lambda **s: lgn.PositiveForm(2, 2, (4,), **RNGS, **s),
    "MessageDensity": lambda **s: lgn.MessageDensity(2, 3, (4,), **RNGS, **s),
    "PairDensity": lambda **s: lgn.PairDensity(2, (4,), pairing=lgn.both_states, **RNGS, **s),
    "FieldMLP": lambda **s: lgn.FieldMLP(2, 2, (4,), **RNGS, **s),
    "PlainNetwork": lambda **s: lgn.PlainNetwork(2, (4,), **RNGS, **s),
    "NeuralODE": lambda **s: lgn.NeuralODE(2, (4,), **RNGS, **s),
}
ALONE = {"PlainNetwork", "NeuralODE"}  # of one node, with no slot to be relative to
SETTINGS = {
    "fields": 2,
    "q_scale": (2.0, 3.0),
    "v_scale": (2.0, 3.0),
    "angles": (1,),
    "relative": True,
    "features": ("weight",),
    "feature_size": 1,
    "feature_scale": (5.0,),
}
WHOLE = {"FieldMLP", "PlainNetwork", "NeuralODE"}


def settings_of(name):
    return {k: x for k, x in SETTINGS.items() if not (k == "relative" and name in ALONE)}


def weight(name, value):
    """The feature as the density reads it: one number a slot, or one of the element."""
    return {"mask": jnp.ones(2), "weight": jnp.full(() if name in WHOLE else 2, value)}


def value(name, made, q, v, features):
    if name == "FieldMLP":
        return made(q[0], v, v[0], features)
    return made(q[:1], v[:1], features)[1] if name in ALONE else made(q, v, features)


def test_settings_are_those_of_inputs():
    assert set(SETTINGS) == set(InputSettings.__annotations__) == set(Inputs(1, 1).settings())


def sized(name, settings):
    """MLPDensity and its kind count the numbers of a feature over all slots."""
    return settings | ({"feature_size": 2, "feature_scale": 5.0} if name in {
        "MLPDensity", "StructuredDensity", "PositiveForm"} else {})  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_every_class_has_every_setting_and_gives_it_back(name):
    settings = sized(name, settings_of(name))
    made = MAKERS[name](**settings)
    config = made.config()
    expected = Inputs(2, 2, **settings).settings() if name not in ALONE else Inputs(1, 2, **settings).settings()
    assert {key: config[key] for key in SETTINGS} == expected
    taken = inspect.signature(type(made).__init__).parameters
    again = type(made)(**config, **({"rngs": nnx.Rngs(1)} if "rngs" in taken else {}))
    assert again.config() == config
    assert [x.shape for x in jax.tree.leaves(again)] == [x.shape for x in jax.tree.leaves(made)]


@pytest.mark.parametrize("name", MAKERS)
def test_an_angle_has_period_two_pi_a_feature_is_read_over_its_scale(name):
    made = MAKERS[name](**sized(name, settings_of(name)) | ({"relative": False} if name == "FieldMLP" else {}))
    q, v = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 2)))
    look = jax.jit(lambda q, x: value(name, made, q, v, weight(name, x)))
    here = look(q, 1.0)
    np.testing.assert_allclose(look(q + np.array([[0, 2 * np.pi], [0, 0]]), 1.0), here, rtol=1e-9)
    assert not np.allclose(look(q + np.array([[2 * np.pi, 0], [0, 0]]), 1.0), here, rtol=1e-9)
    assert not np.allclose(look(q, 50.0), here, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(set(MAKERS) - ALONE - {"FieldMLP"}))
def test_relative_inputs_see_no_shift(name):
    made = jax.jit(MAKERS[name](relative=True))
    q, v = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 2)))
    features = {"mask": jnp.ones(2)}
    np.testing.assert_allclose(made(q + 3.0, v, features), made(q, v, features), rtol=1e-9)


WRONG = {
    "q_scale": (0.0, "q_scale=0.0; give a positive number"),
    "v_scale": ((1.0, 2.0, 3.0), "v_scale=.*one for each of 2"),
    "angles": ((2,), r"angles=\(2,\); give distinct degrees of freedom out of 0 to 1"),
    "features": (("weight",), "features=.*feature_size=0; give both"),
    "feature_size": (1, "feature_size=1; give both"),
    "feature_scale": (-1.0, "feature_scale=-1.0; give a positive number"),
}


@pytest.mark.parametrize("setting", WRONG)
@pytest.mark.parametrize("name", MAKERS)
def test_wrong_settings_are_refused_alike(name, setting):
    wrong, message = WRONG[setting]
    with pytest.raises(ValueError, match=message):
        MAKERS[name](**{setting: wrong})


@pytest.mark.parametrize("name", sorted(ALONE))
def test_one_node_has_no_differences(name):
    with pytest.raises(ValueError, match="relative=True with slots=1"):
        MAKERS[name](relative=True)
