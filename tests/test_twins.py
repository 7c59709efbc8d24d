"""Every kernel has a slow twin, and the twins know nothing of the package."""

import ast
import importlib
import inspect
import pkgutil

import naive
import naive_bridge
import naive_certificates
import naive_multi_type
import naive_population
import naive_rewards
import naive_zoo_coupled
import naive_zoo_mfglib
import naive_zoo_openspiel

import fastmfg.kernels
from fastmfg.kernels.jit import Filler, Kernel

TWINS = {
    "backup.back_up": naive.back_up,
    "backward.average_along": naive.back_up,
    "backward.average_noise": naive.back_up,
    "backward.bellman_update": naive.back_up,
    "backward.expect_along": naive.back_up,
    "backward.expect_dense": naive.back_up,
    "backward.expect_moves": naive.back_up,
    "backward.expect_sparse": naive.back_up,
    "backward.softmax_update": naive.descend,
    "check.count_faults": naive.count_faults,
    "cover.cover_centres": naive_bridge.cover_centres,
    "cover.weighted_rows": naive_bridge.weighted_rows,
    "crowd.act": naive_population.act,
    "crowd.gather_rows": naive_population.gather_rows,
    "crowd.move": naive_population.move,
    "crowd.prepare_at": naive_population.prepare_at,
    "density.occupy": naive.occupy,
    "density.push": naive.push,
    "density.tabulate": naive.tabulate,
    "distance.back_up_state": naive.block_distances,
    "distance.block_distances": naive.block_distances,
    "distance.block_gaps": naive.row_gaps,
    "distance.block_lower_bounds": naive.lower_bound,
    "distance.block_upper_bounds": naive.upper_bound,
    "distance.compare_state": naive.block_distances,
    "distance.legal_actions": naive.block_distances,
    "distance.make_plan": naive.block_distances,
    "distance.row_gaps": naive.row_gaps,
    "forward.carry_noise": naive.push,
    "forward.fill_checked": naive.push,
    "forward.pull_noise": naive.push,
    "forward.pull_rows": naive.push,
    "forward.refuse_faulty_rows": naive.push,
    "forward.send_dense": naive.push,
    "forward.send_moves": naive.push,
    "forward.send_sparse": naive.push,
    "distance.state_gaps": naive.row_gaps,
    "elementary.exp_row": naive.mirror_step,
    "elementary.log_row": naive.crowd_aversion,
    "information.back_up_information": naive.back_up_information,
    "information.reward_information": naive_rewards.reward_information,
    "likelihood.log_likelihoods": naive.log_likelihoods,
    "linear.fill": naive.linear_fill,
    "linear.prepare": naive.linear_prepare,
    "passes.average_ahead": naive.back_up,
    "passes.back_up_block": naive.back_up,
    "passes.descend": naive.descend,
    "passes.evaluate_policy": naive.back_up,
    "passes.prepare_step": naive.back_up,
    "passes.propagate": naive.push,
    "passes.propagate_density": naive.push,
    "passes.reward_block": naive.back_up,
    "passes.reward_two_steps": naive.rewards,
    "pmbed.block_exceeding": naive_certificates.exceeding,
    "pmbed.element_gaps": naive_certificates.element_gaps,
    "pmbed.longest_list": naive_certificates.longest_list,
    "reward.crowd_aversion": naive.crowd_aversion,
    "reward.crowd_base": naive.crowd_base,
    "reward.crowd_base_own": naive.crowd_base,
    "reward.crowd_base_own_part": naive.crowd_base,
    "reward.crowd_base_part": naive.crowd_base,
    "reward.no_part": naive.rewards,
    "reward.reward_step": naive.reward_step,
    "reward.rewards": naive.rewards,
    "softmax.mirror_step": naive.mirror_step,
    "table.fill": naive.table_fill,
    "table.fill_by_step": naive.table_fill_by_step,
    "table.fill_from_aux": naive.table_fill,
    "table.prepare": naive.table_prepare,
    "walk.walk": naive.walk,
    "zoo.affine.fill": naive_zoo_mfglib.affine_fill,
    "zoo.affine.prepare": naive_zoo_mfglib.affine_prepare,
    "zoo.affine.reward": naive_zoo_mfglib.affine_reward,
    "zoo.attempts.fill": naive_zoo_coupled.attempts_fill,
    "zoo.attempts.prepare": naive_zoo_coupled.attempts_prepare,
    "zoo.attempts.reward": naive_zoo_coupled.attempts_reward,
    "zoo.attempts.reward_part": naive_zoo_coupled.attempts_reward,
    "zoo.choice.reward": naive_zoo_mfglib.choice_reward,
    "zoo.epidemic.fill": naive_zoo_coupled.epidemic_fill,
    "zoo.epidemic.prepare": naive_zoo_coupled.epidemic_prepare,
    "zoo.epidemic.reward": naive_zoo_coupled.epidemic_reward,
    "zoo.epidemic.reward_own": naive_zoo_coupled.epidemic_reward,
    "zoo.evacuation.reward": naive_zoo_mfglib.evacuation_reward,
    "zoo.evacuation.reward_part": naive_zoo_mfglib.evacuation_reward,
    "zoo.hard.fill": naive_certificates.hard_fill,
    "zoo.hard.fill_clusters": naive_certificates.clusters_fill,
    "zoo.hard.prepare_clusters": naive_certificates.clusters_prepare,
    "zoo.hard.prepare_hidden": naive_certificates.hidden_prepare,
    "zoo.hard.prepare_sectors": naive_certificates.sectors_prepare,
    "zoo.hard.prepare_switch": naive_certificates.switch_prepare,
    "zoo.hard.reward": naive_certificates.hard_reward,
    "zoo.infection.fill": naive_zoo_mfglib.infection_fill,
    "zoo.infection.prepare": naive_zoo_mfglib.infection_prepare,
    "zoo.infection.reward": naive_zoo_mfglib.infection_reward,
    "zoo.infection.reward_own": naive_zoo_mfglib.infection_reward,
    "zoo.market.reward": naive_zoo_mfglib.market_reward,
    "zoo.mf_garnet.fill": naive_zoo_coupled.mf_garnet_fill,
    "zoo.mf_garnet.prepare": naive_zoo_coupled.mf_garnet_prepare,
    "zoo.mf_garnet.reward": naive_zoo_coupled.mf_garnet_reward,
    "zoo.motion.reward": naive_zoo_mfglib.motion_reward,
    "zoo.motion.reward_part": naive_zoo_mfglib.motion_reward,
    "zoo.normal_form.polynomial_payoff": naive_zoo_openspiel.polynomial_payoff,
    "zoo.predation.fill": naive_multi_type.predation_fill,
    "zoo.predation.prepare": naive_multi_type.predation_prepare,
    "zoo.predation.reward": naive_multi_type.predation_reward,
    "zoo.quadratic.fill": naive_zoo_mfglib.quadratic_fill,
    "zoo.quadratic.prepare": naive_zoo_mfglib.quadratic_prepare,
    "zoo.quadratic.reward": naive_zoo_mfglib.quadratic_reward,
    "zoo.routing.fill": naive_zoo_openspiel.routing_fill,
    "zoo.routing.prepare": naive_zoo_openspiel.routing_prepare,
    "zoo.routing.reward": naive_zoo_openspiel.routing_reward,
    "zoo.treasure.fill": naive_zoo_mfglib.treasure_fill,
    "zoo.treasure.prepare": naive_zoo_mfglib.treasure_prepare,
    "zoo.treasure.reward": naive_zoo_mfglib.treasure_reward,
}


def kernels():
    """Names of all kernels and built-in fillers, found by looking at the modules."""
    names = set()
    for info in pkgutil.walk_packages(fastmfg.kernels.__path__, "fastmfg.kernels."):
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, (Kernel, Filler)):
                module = value.function.__module__.removeprefix("fastmfg.kernels.")
                names.add(f"{module}.{value.__name__}")
    return names


def test_every_kernel_has_a_twin():
    assert kernels() == set(TWINS)


def test_twins_import_nothing_from_the_package():
    imported = set()
    for module in {inspect.getmodule(twin) for twin in TWINS.values()}:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
    assert imported == {"math", "numpy"}
